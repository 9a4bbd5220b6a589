//! The sessions: real WebSocket clients on few threads.
//!
//! [`pool`] starts the threads and asks them; [`client`] is one session and knows no socket; [`reactor`] is one thread
//! with its epoll; [`progress_board`] is what threads and run share; [`task`] is what a run asks of many sessions at
//! one time.

pub mod client;
pub mod list_rows;
pub mod member_lists;
pub mod pool;
pub mod progress_board;
pub mod reactor;
pub mod settings;
pub mod task;
pub mod task_run;
pub mod timer_wheel;

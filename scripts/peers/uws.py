"""Broadcasts by uWebSockets (C++, through socketify): a client of /sub receives the frames sent to /pub."""

import sys

from socketify import App, AppListenOptions

HALL = "hall"

app = App()
# A subscriber whose backlog passes max_backpressure loses messages without a word, so it must not.
behavior = {"compression": 0, "idle_timeout": 120, "max_payload_length": 2 << 20, "max_backpressure": 1 << 30}
app.ws("/sub", {**behavior, "open": lambda ws: ws.subscribe(HALL)})
# By frames, since reading a request's body crashes socketify 0.0.31 when Python collects garbage meanwhile.
app.ws("/pub", {**behavior, "message": lambda ws, message, opcode: app.publish(HALL, message, opcode)})
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: print("listening", flush=True))
app.run()

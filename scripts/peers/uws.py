"""Broadcasts by uWebSockets (C++, through socketify): whoever connects to /sub gets what is posted to /pub, or sent there."""

import sys

from socketify import App, AppListenOptions, OpCode

HALL = "hall"

app = App()


async def publish(response, request):
    """Publishes a request's body."""
    body = await response.get_data()
    app.publish(HALL, body.getvalue(), OpCode.TEXT)
    response.end("")


# A subscriber whose backlog passes max_backpressure loses messages without a word, so it must not.
behavior = {"compression": 0, "idle_timeout": 120, "max_payload_length": 2 << 20, "max_backpressure": 1 << 30}
app.ws("/sub", {**behavior, "open": lambda ws: ws.subscribe(HALL)})
app.ws("/pub", {**behavior, "message": lambda ws, message, opcode: app.publish(HALL, message, opcode)})
app.post("/pub", publish)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: print("listening", flush=True))
app.run()

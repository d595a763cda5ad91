# SPDX-License-Identifier: MIT
"""A gRPC server and client, in processes of their own since gRPC's threads and forks do not mix.

    grpc_chat.py serve CERT KEY          prints its port
    grpc_chat.py talk CA NAME PORT       talks to it as NAME
"""

import queue
import sys
from concurrent import futures

import grpc

METHODS = {
    "/towonel.test/Chat": grpc.stream_stream_rpc_method_handler(
        lambda messages, _: (b"re: " + message for message in messages)),
    "/towonel.test/Call": grpc.unary_unary_rpc_method_handler(lambda message, _: message[::-1]),
}
STREAMS, MESSAGES, CALLS = 3, 1000, 50
TIMEOUT = 90


class Handlers(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        return METHODS.get(handler_call_details.method)


def serve(cert, key):
    with open(cert, "rb") as cert_file, open(key, "rb") as key_file:
        credentials = grpc.ssl_server_credentials([(key_file.read(), cert_file.read())])
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((Handlers(),))
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    server.start()
    server.wait_for_termination()


def chat(channel, number):
    """Each message is sent when the one before has been answered: the stream is alive both ways all the time."""
    outgoing = queue.Queue()
    answers = channel.stream_stream("/towonel.test/Chat")(iter(outgoing.get, None), timeout=TIMEOUT)
    for turn in range(MESSAGES):
        message = b"%d/%d " % (number, turn) + bytes(turn * 7 % 5000)
        outgoing.put(message)
        if next(answers) != b"re: " + message:
            raise ValueError(f"message {turn} of stream {number} is not what was sent")
    outgoing.put(None)
    if next(answers, None) is not None:
        raise ValueError("the stream goes on after its end")


def call(channel):
    for turn in range(CALLS):
        message = b"call %d" % turn
        if channel.unary_unary("/towonel.test/Call")(message, timeout=TIMEOUT) != message[::-1]:
            raise ValueError(f"call {turn} was not answered right")


def talk(authority, name, port):
    with open(authority, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(f"ipv4:127.0.0.1:{port}", credentials, options) as channel:
        with futures.ThreadPoolExecutor(max_workers=STREAMS + 1) as threads:
            work = [threads.submit(chat, channel, number) for number in range(STREAMS)]
            work.append(threads.submit(call, channel))
            for done in work:
                done.result()
    print(f"{STREAMS} streams of {MESSAGES} messages, {CALLS} calls")


if __name__ == "__main__":
    {"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:])

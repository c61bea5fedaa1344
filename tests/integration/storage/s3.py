"""S3 over HTTP (moto), behind an endpoint that answers 500 or cuts uploads when it is told to."""

import contextlib
from collections import Counter
from urllib.parse import urlsplit

import boto3
from aiohttp import ClientSession, web

BUCKET = "copies"
NO_SUCH_UPLOAD = "no such upload"


class Endpoint:
    """Passes requests on. `broken` is asked of each: None passes it on, 500 answers so, "cut" ends the connection.

    "lose" passes it on and ends the connection instead of answering; NO_SUCH_UPLOAD answers in S3's words.
    """

    def __init__(self, backend):
        self._backend = backend
        self.broken = lambda _: None
        self.seen = Counter()  # by method; of writes also by whether it was of a part
        self.objects = boto3.client(
            "s3", endpoint_url=backend, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
        )

    async def serve(self, request):
        self.seen[request.method] += 1
        how = self.broken(request)
        if how == "cut":
            await request.content.readany()
            request.transport.close()
            return web.Response()
        if how == NO_SUCH_UPLOAD:
            return web.Response(status=404, text="<Error><Code>NoSuchUpload</Code><Message>none</Message></Error>")
        if how not in (None, "lose"):
            return web.Response(status=how)
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self._backend + request.raw_path,
                data=await request.read(),
                headers={name: value for name, value in request.headers.items() if name != "Host"},
                skip_auto_headers=("Content-Type",),
            ) as answer,
        ):
            hop = ("connection", "date", "server", "transfer-encoding")
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
            body = await answer.read()
            if how == "lose":
                request.transport.close()
            return web.Response(status=answer.status, headers=headers, body=body or None)

    def names(self):
        return sorted(each["Key"] for each in self.objects.list_objects_v2(Bucket=BUCKET).get("Contents", []))

    def of(self, location):
        """The object at a location: bytes, type and what is kept with it."""
        parts = urlsplit(location)
        found = self.objects.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
        return found["Body"].read(), found["ContentType"], found["Metadata"]


@contextlib.asynccontextmanager
async def endpoint(backend):
    """An endpoint with an empty bucket, and its URL."""
    found = Endpoint(backend)
    found.objects.create_bucket(Bucket=BUCKET)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", found.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield found, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

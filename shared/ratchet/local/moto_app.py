"""moto as the AWS endpoint: its server application, the storage lock, and the journal."""

import json
import logging
import time
from functools import cache
from threading import RLock
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from ratchet.local.endpoint import ACCESS_KEY, Endpoint
from ratchet.local.events.scheduler import refusal, restore
from ratchet.local.json_types import JsonObject
from ratchet.local.storage.journal import Journal
from ratchet.local.storage.recording import (
    DYNAMODB_WRITES,
    NOT_JOURNALED,
    SECRET_WRITES,
    dynamodb_record,
    is_object_write,
    is_schedule_write,
    is_unsupported_write,
    object_records,
    schedule_record,
    signed_service,
    target_of,
)
from ratchet.local.web import Request, Response, call, make_environ, read_body, read_request

_NOISY = ("moto", "werkzeug", "moto.stepfunctions")


class MotoApp:
    """Answers AWS requests; writes that outlive the process one at a time."""

    def __init__(self, endpoint: Endpoint, journal: Journal | None) -> None:
        default_user_config["stepfunctions"]["execute_state_machine"] = True
        default_user_config["lambda"]["use_docker"] = False
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._endpoint = endpoint
        self._journal = journal
        self._app = _moto_application()
        # moto's tables lose updates under concurrency: one lock around all of their requests.
        self._lock = RLock()

    def answer(
        self, request: Request, environ: WSGIEnvironment, start_response: StartResponse
    ) -> list[bytes]:
        """Answers one AWS request."""
        service = signed_service(request)
        if service == "dynamodb":
            return self._dynamodb(environ).send(start_response)
        if self._journal is not None and service == "s3" and is_object_write(request):
            return self._s3(environ).send(start_response)
        if service == "scheduler" and is_schedule_write(request):
            return self._schedule(environ).send(start_response)
        if service == "secretsmanager" and target_of(request) in SECRET_WRITES:
            return self._secret(environ).send(start_response)
        parts: list[bytes] = list(self._app(environ, start_response))
        return parts

    def request(self, service: str, target: str, body: JsonObject) -> Response:
        """Calls a JSON protocol operation without the journal."""
        headers = {
            "x-amz-target": target,
            "content-type": "application/x-amz-json-1.0",
            **self._signed_for(service),
        }
        request = Request("POST", "/", "", headers, json.dumps(body).encode())
        return call(self._app, make_environ(request))

    def put_object(self, record: JsonObject, body: bytes) -> Response:
        """Puts an S3 object as its journal record says."""
        headers = {**record["headers"], **self._signed_for("s3")}
        return call(self._app, make_environ(Request("PUT", record["path"], "", headers, body)))

    def put_schedule(self, record: JsonObject) -> Response:
        """Makes an EventBridge Scheduler schedule as its journal record says."""
        path = f"/schedules/{record['name'].rpartition('/')[2]}"
        headers = {"content-type": "application/json", **self._signed_for("scheduler")}
        asked = {name: value for name, value in record["body"].items() if name != "StartDate"}
        request = Request("POST", path, "", headers, json.dumps(asked).encode())
        response = call(self._app, make_environ(request))
        if response.is_success:
            restore(self._endpoint, record)
        return response

    def reset(self) -> None:
        """Forgets everything that moto holds."""
        moto_api_backend.reset()

    def _dynamodb(self, environ: WSGIEnvironment) -> Response:
        read_body(environ)
        request = read_request(environ)
        with self._lock:
            response = call(self._app, environ)
            if response.is_success and target_of(request) in DYNAMODB_WRITES:
                self._record(dynamodb_record(request))
            return response

    def _s3(self, environ: WSGIEnvironment) -> Response:
        read_body(environ)
        request = read_request(environ)
        environ["wsgi.input"].seek(0)
        if is_unsupported_write(request):
            return NOT_JOURNALED
        with self._lock:
            response = call(self._app, environ)
            if response.is_success:
                for record in object_records(request):
                    self._record(record)
            return response

    def _schedule(self, environ: WSGIEnvironment) -> Response:
        read_body(environ)
        request = read_request(environ)
        if request.method != "DELETE" and (why := refusal(json.loads(request.body))):
            # moto takes any text for an expression or a time zone.
            headers = [("x-amzn-errortype", "ValidationException")]
            return Response.of_json(400, {"Message": why}, headers)
        with self._lock:
            response = call(self._app, environ)
            if response.is_success:
                self._record(schedule_record(request, since=time.time()))
            return response

    def _secret(self, environ: WSGIEnvironment) -> Response:
        read_body(environ)
        request = read_request(environ)
        with self._lock:
            response = call(self._app, environ)
            if response.is_success and self._journal is not None:
                asked = json.loads(request.body)
                self._record_secret(asked.get("SecretId") or asked["Name"])
            return response

    def _record_secret(self, secret_id: str) -> None:
        reply = self.request(
            "secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": secret_id}
        )
        value = json.loads(reply.body)
        if "SecretString" in value:
            self._record(
                {"service": "secretsmanager", "name": value["Name"], "value": value["SecretString"]}
            )

    def _record(self, record: JsonObject) -> None:
        if self._journal is not None:
            self._journal.append(record)

    def _signed_for(self, service: str) -> dict[str, str]:
        scope = f"{ACCESS_KEY}/20260101/{self._endpoint.region}/{service}/aws4_request"
        return {
            "host": "127.0.0.1",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }


@cache
def _moto_application() -> WSGIApplication:
    """Moto's server; its state lives in module globals, so one serves every stack in turn."""
    application: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    return application

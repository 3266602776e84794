"""A service that knows nothing of Pivot: it calls the address it is given and hands the answer back."""

import sys

import requests
from flask import Flask, request
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()


@app.get("/call")
def call():
    return requests.get(request.args["to"], timeout=10).text


app.run(host="127.0.0.1", port=int(sys.argv[1]))

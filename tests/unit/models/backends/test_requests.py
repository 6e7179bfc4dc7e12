"""MLflow's chat models and agents, which take one request: each row of a table is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from mlflow.pyfunc.model import ChatAgent, ChatModel, ResponsesAgent
from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
from mlflow.types.responses import ResponsesAgentResponse

from spark_infer.config import ScoreOptions
from spark_infer.core.signature import Signature
from spark_infer.errors import InputValueError, PlanError
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True, scope="module")
def no_traces() -> None:
    """MLflow writes each request of an agent to its tracking store; to begin with that takes ten seconds."""
    mlflow.tracing.disable()


class Chat(ChatModel):
    """Says how many messages it got, the last one, its tools, and the temperature."""

    def predict(self, context: Any, messages: Any, params: Any) -> Any:  # type: ignore[override]  # as MLflow's own
        calls = [call.function.name for message in messages for call in message.tool_calls or ()]
        said = f"{len(messages)} {messages[-1].content} {calls} {params.temperature}"
        return ChatCompletionResponse(choices=[ChatChoice(message=ChatMessage(role="assistant", content=said))])


class Shouting(ChatAgent):
    """Repeats each message."""

    def predict(self, messages: Any, context: Any = None, custom_inputs: Any = None) -> Any:  # type: ignore[override]
        said = [ChatAgentMessage(role="assistant", content=each.content.upper(), id=each.content) for each in messages]
        return ChatAgentResponse(messages=said)


class Agent(ResponsesAgent):
    """Repeats the last message."""

    def predict(self, request: Any) -> Any:  # type: ignore[override]
        text = self.create_text_output_item(text=f"{len(request.input)} {request.input[-1].content}", id="1")
        return ResponsesAgentResponse(output=[text])


ROWS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "hello"}], "temperature": 0.5},
    {
        "messages": [
            {
                "role": "assistant",
                "content": "a",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "user", "content": "b"},
        ],
        "temperature": None,
    },
]
FUNCTION = pa.struct([("name", pa.string()), ("arguments", pa.string())])
CALL = pa.struct([("id", pa.string()), ("type", pa.string()), ("function", FUNCTION)])
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(CALL))])
TABLE = pa.Table.from_pylist(ROWS, pa.schema([("messages", pa.list_(MESSAGE)), ("temperature", pa.float64())]))
PLAIN = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
CONTENT = pa.struct([("content", pa.string())])
CHOICES = pa.schema({"choices": pa.list_(pa.struct([("message", CONTENT)])), "object": pa.string()})
MESSAGES = pa.schema({"messages": pa.list_(CONTENT)})
OUTPUT = pa.schema({"output": pa.list_(pa.struct([("content", pa.list_(pa.struct([("text", pa.string())])))]))})


def recipe_of(folder: Path, table: pa.Schema, store: ModelStore, result: pa.Schema | None, **options: Any) -> Recipe:
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=store)
    return make_recipe(
        ref,
        table,
        ScoreOptions(**options),
        folder=store.path(ref.digest),
        load_model=lambda spec: load(spec, store.path(ref.digest)),
        keep=(),
        result_schema=result,
    )


def scored(recipe: Recipe, table: pa.Table, store: ModelStore) -> list[Any]:
    batches = table.combine_chunks().to_batches()
    found = score_table_batches(recipe, lambda: store.path(recipe.ref.digest), batches, Assignment())
    rows: list[Any] = pa.Table.from_batches(list(found)).to_pylist()
    return rows


def said(content: str) -> dict[str, Any]:
    return {"message": {"content": content}}


CASES: list[tuple[Any, pa.Table, pa.Schema, list[Any]]] = [
    (
        Chat,
        TABLE,
        CHOICES,
        [
            {"choices": [said("1 hello [] 0.5")], "object": "chat.completion"},
            {"choices": [said("2 b ['f'] 1.0")], "object": "chat.completion"},
        ],
    ),
    (
        Shouting,
        TABLE.select(["messages"]),
        MESSAGES,
        [{"messages": [{"content": "HELLO"}]}, {"messages": [{"content": "A"}, {"content": "B"}]}],
    ),
    (
        Agent,
        pa.table({"input": pa.array([[{"role": "user", "content": "x"}]] * 2, PLAIN)}),
        OUTPUT,
        [{"output": [{"content": [{"text": "1 x"}]}]}] * 2,
    ),
]


@pytest.mark.parametrize(("model", "table", "result", "expected"), CASES, ids=["ChatModel", "ChatAgent", "Responses"])
def test_each_row_is_a_request_and_its_answer_a_row(
    tmp_path: Path, store: ModelStore, model: Any, table: pa.Table, result: pa.Schema, expected: list[Any]
) -> None:
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=model(), pip_requirements=["mlflow"])
    recipe = recipe_of(tmp_path / "m", table.schema, store, result)
    assert isinstance(recipe.ref.mlmodel.signature, Signature)
    assert scored(recipe, table, store) == expected
    # Its outputs are partly of type any.
    with pytest.raises(PlanError, match="leaves open what"):
        recipe_of(tmp_path / "m", table.schema, store, None)
    # More rows would be answered as one.
    with pytest.raises(InputValueError, match="takes one request, and got a batch of 2 rows"):
        scored(recipe_of(tmp_path / "m", table.schema, store, result, batch_size=2), table, store)

"""What the routing table does not tell: summary, query string and body of each operation.

A field is `name:type`; `*` after the type says that there may be several, `!` that it must be there.
Bodies may have further fields that are kept, or not looked at, as the service does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Declared:
    """One operation; `kind` is the body's: an object ("json"), a list of them, or parts ("form")."""

    summary: str
    query: str = ""
    body: str = ""
    kind: Literal["", "json", "list", "form"] = ""
    status: int = 200
    unserved: str = ""  # what is answered 501


_PAGE = "limit:int offset:int"
_RUN = (
    "trace_id:uuid parent_run_id:uuid reference_example_id:uuid dotted_order:text name:text run_type:text "
    "start_time:time end_time:time session_id:uuid session_name:text tags:text* inputs:obj outputs:obj "
    "extra:obj events:list serialized:obj error:text"
)
_SESSION = (
    "id:uuid name:text description:text extra:obj start_time:time end_time:time reference_dataset_id:uuid "
    "num_examples:int num_repetitions:int evaluator_keys:text*"
)
_DATASET = (
    "id:uuid name:text description:text data_type:text inputs_schema_definition:obj "
    "outputs_schema_definition:obj transformations:list metadata:obj extra:obj"
)
_EXAMPLE = (
    "dataset_id:uuid created_at:time metadata:obj split:text* inputs:obj outputs:obj source_run_id:uuid "
    "use_source_run_io:bool use_source_run_attachments:text* attachments_operations:obj"
)
_FEEDBACK = (
    "id:uuid run_id:uuid session_id:uuid trace_id:uuid comparative_experiment_id:uuid key:text! score:any "
    "value:any comment:text correction:any feedback_source:obj feedback_group_id:uuid created_at:time "
    "modified_at:time extra:obj error:bool"
)
_CONFIG = "feedback_key:text! feedback_config:obj is_lower_score_better:bool is_enforced:bool"
_QUEUE = (
    "id:uuid name:text description:text rubric_instructions:text rubric_items:list metadata:obj "
    "default_dataset:uuid num_reviewers_per_item:int enable_reservations:bool reservation_minutes:int "
    "reviewer_access_mode:text session_ids:uuid*"
)
_EVALUATOR = "name:text code_evaluator:obj llm_evaluator:obj"
_FILTERS = "filter:text trace_filter:text tree_filter:text"
_QUERY = (
    f"session:uuid* id:uuid* trace:uuid parent_run:uuid reference_example:uuid* run_type:text is_root:bool "
    f"error:bool start_time:time end_time:time {_FILTERS} order:text select:text* limit:int cursor:text"
)
_WINDOW = "min_start_time:time max_start_time:time"
_V2 = f"{_WINDOW} {_FILTERS} selects:text* cursor:text page_size:int"
_TOKEN = "run_id:uuid! feedback_key:text! id:uuid expires_at:time expires_in:obj feedback_config:obj"  # noqa: S105
_PROJECT = "project_id:uuid! selects:text*"
_USE = "score:any value:any comment:text correction:any metadata:obj"
_OLDER = "older reads, where the flags turn them off"

DECLARED: dict[str, Declared] = {
    "GET /info": Declared("What this server can do"),
    "GET /openapi.json": Declared("This document"),
    # runs
    "POST /runs/multipart": Declared("Take in creates, updates, feedback, files", kind="form", status=202),
    "POST /runs/batch": Declared("Take in runs", body="post:list patch:list", kind="json", status=202),
    "POST /runs": Declared("Take in a create", body=f"id:uuid {_RUN}", kind="json", status=202),
    "PATCH /runs/{id}": Declared("Take in an update", body=_RUN, kind="json", status=202),
    "GET /runs/{id}": Declared("One run", unserved=_OLDER),
    "GET /runs/threads/{id:path}": Declared(
        "What was said in a thread", query="session_id:uuid! select:text*", unserved=_OLDER
    ),
    "POST /runs/query": Declared("A page of runs", body=_QUERY, kind="json", unserved=_OLDER),
    "POST /runs/stats": Declared("Sums over runs", body=f"{_QUERY} query:text", kind="json"),
    "POST /runs/delete": Declared(
        "Delete traces", body="session_id:uuid! trace_ids:uuid*!", kind="json", status=202
    ),
    "PUT /runs/{id}/share": Declared("Share a run", body="run_id:uuid share_token:uuid", kind="json"),
    "GET /runs/{id}/share": Declared("Under what a run is shared"),
    "DELETE /runs/{id}/share": Declared("Share a run no more"),
    "GET /public/{token}/r": Declared("To the page of a shared run"),
    "GET /public/{token}/run": Declared("A shared run"),
    "GET /public/{token}/run/{id}": Declared("A run of a shared trace"),
    "GET /public/{token}/runs": Declared("Runs of a shared trace", query="id:uuid*"),
    "GET /public/{token}/runs{query}": Declared("The same, from a client that leaves out the question mark"),
    "POST /public/{token}/runs/query": Declared("Runs of a shared trace", body=_QUERY, kind="json"),
    # sessions
    "POST /sessions": Declared("Make a session", query="upsert:bool", body=_SESSION, kind="json"),
    "GET /sessions": Declared(
        "A page of sessions",
        query=f"{_PAGE} id:uuid* name:text name_contains:text reference_dataset:uuid* reference_free:bool "
        "metadata:text dataset_version:text include_stats:bool start_time:time",
    ),
    "GET /sessions/{id}": Declared("One session", query="include_stats:bool"),
    "PATCH /sessions/{id}": Declared("Change a session", body=_SESSION, kind="json"),
    "DELETE /sessions/{id}": Declared("Delete a session with its runs"),
    # datasets
    "POST /datasets": Declared("Make a dataset", body=_DATASET, kind="json"),
    "GET /datasets": Declared(
        "A page of datasets",
        query=f"{_PAGE} id:uuid* data_type:text* name:text name_contains:text metadata:text",
    ),
    "GET /datasets/{id}": Declared("One dataset"),
    "PATCH /datasets/{id}": Declared("Change a dataset", body=_DATASET, kind="json"),
    "DELETE /datasets/{id}": Declared("Delete a dataset with its examples and experiments"),
    "POST /datasets/upload": Declared("A dataset from a CSV file", kind="form"),
    "GET /datasets/{id}/openai_ft": Declared("A dataset as chats"),
    "POST /datasets/{id}/runs": Declared(
        "Examples with their runs",
        body="session_ids:uuid*! filters:obj comparative_experiment_id:uuid limit:int offset:int preview:bool",
        kind="json",
    ),
    "GET /datasets/{id}/versions": Declared("A page of versions", query=f"{_PAGE} search:text"),
    "GET /datasets/{id}/versions/diff": Declared("What changed", query="from_version:text! to_version:text!"),
    "GET /datasets/{id}/version": Declared("One version", query="as_of:text tag:text"),
    "PUT /datasets/{id}/tags": Declared("Tag a version", body="tag:text! as_of:text!", kind="json"),
    "GET /datasets/{id}/splits": Declared("Names of splits", query="as_of:text"),
    "PUT /datasets/{id}/splits": Declared(
        "Put examples into a split", body="split_name:text! examples:uuid*! remove:bool", kind="json"
    ),
    "PUT /datasets/{id}/share": Declared("Share a dataset", body="dataset_id:uuid", kind="json"),
    "GET /datasets/{id}/share": Declared("Under what a dataset is shared"),
    "DELETE /datasets/{id}/share": Declared("Share a dataset no more"),
    "GET /public/{token}/datasets": Declared("A shared dataset"),
    "GET /public/{token}/datasets/sessions": Declared("Its experiments", query=_PAGE),
    "GET /public/{token}/examples": Declared("Its examples", query=f"{_PAGE} as_of:text filter:text"),
    # examples
    "POST /platform/datasets/{id}/examples": Declared("Add examples", kind="form", status=201),
    "PATCH /platform/datasets/{id}/examples": Declared("Change examples", kind="form"),
    "DELETE /platform/datasets/{id}/examples/{example}": Declared("Delete an example", status=204),
    "POST /platform/examples/multipart": Declared("Add or change examples", kind="form", status=201),
    "POST /platform/datasets/examples/delete": Declared(
        "Delete examples", body="example_ids:uuid*! hard_delete:bool", kind="json"
    ),
    "POST /examples": Declared("Add an example", body=f"id:uuid {_EXAMPLE}", kind="json"),
    "POST /examples/bulk": Declared("Add examples", body=f"id:uuid {_EXAMPLE}", kind="list"),
    "PATCH /examples/bulk": Declared("Change examples", body=f"id:uuid! {_EXAMPLE}", kind="list"),
    "GET /examples": Declared(
        "A page of examples",
        query=f"{_PAGE} dataset:uuid* id:uuid* as_of:text splits:text* metadata:text filter:text select:text* "
        "exclude_default_fields:bool",
    ),
    "DELETE /examples": Declared("Delete examples", query="example_ids:uuid*!"),
    "GET /examples/{id}": Declared("One example", query="as_of:text"),
    "PATCH /examples/{id}": Declared("Change an example", body=_EXAMPLE, kind="json"),
    "DELETE /examples/{id}": Declared("Delete an example"),
    "GET /attachments/{sha}": Declared("Bytes", query="mime:text expires:text signature:text"),
    # feedback
    "POST /feedback": Declared("Give feedback", body=_FEEDBACK, kind="json"),
    "GET /feedback": Declared(
        "A page of feedback", query=f"{_PAGE} run:uuid* session:uuid* key:text* source:text* level:text"
    ),
    "GET /feedback/{id}": Declared("One feedback"),
    "PATCH /feedback/{id}": Declared("Change feedback", body=_USE, kind="json"),
    "DELETE /feedback/{id}": Declared("Delete feedback"),
    "POST /feedback/tokens": Declared("Make tokens", body=_TOKEN, kind="json"),
    "GET /feedback/tokens": Declared("Tokens of a run", query=f"run_id:uuid! {_PAGE}"),
    "GET /feedback/tokens/{token}": Declared(
        "Give feedback by a link", query="score:any value:text comment:text"
    ),
    "POST /feedback/tokens/{token}": Declared("Give feedback by a token", body=_USE, kind="json"),
    "POST /feedback-configs": Declared("Configure a key", body=_CONFIG, kind="json"),
    "PATCH /feedback-configs": Declared(
        "Configure it otherwise",
        body=f"{_CONFIG} id:uuid add_categories:obj* remove_categories:obj*",
        kind="json",
    ),
    "GET /feedback-configs": Declared("Configurations", query=f"{_PAGE} key:text* name_contains:text"),
    "DELETE /feedback-configs": Declared("Forget one", query="feedback_key:text id:uuid", status=204),
    # comparisons
    "POST /datasets/comparative": Declared(
        "Compare experiments",
        body="id:uuid experiment_ids:uuid*! reference_dataset_id:uuid! name:text description:text extra:obj "
        "created_at:time modified_at:time",
        kind="json",
    ),
    "GET /datasets/comparative/{id}": Declared("One comparison"),
    "DELETE /datasets/comparative/{id}": Declared("Delete a comparison"),
    "GET /datasets/{id}/comparative": Declared(
        "Comparisons", query=f"{_PAGE} id:uuid* name:text name_contains:text"
    ),
    # annotation queues
    "POST /annotation-queues": Declared("Make a queue", body=_QUEUE, kind="json"),
    "GET /annotation-queues": Declared(
        "Queues", query=f"{_PAGE} ids:uuid* name:text name_contains:text dataset_id:uuid queue_type:text"
    ),
    "POST /annotation-queues/populate": Declared(
        "Add the runs of experiments", body="queue_id:uuid! session_ids:uuid*!", kind="json"
    ),
    "POST /annotation-queues/status/{id}": Declared(
        "Reviewed or not", body="status:text override_added_at:time", kind="json"
    ),
    "GET /annotation-queues/{id}": Declared("One queue"),
    "PATCH /annotation-queues/{id}": Declared("Change a queue", body=_QUEUE, kind="json"),
    "DELETE /annotation-queues/{id}": Declared("Delete a queue"),
    "GET /annotation-queues/{id}/size": Declared("How many wait", query="status:text"),
    "GET /annotation-queues/{id}/total_size": Declared("How many there are"),
    "GET /annotation-queues/{id}/total_archived": Declared("How many are done"),
    "POST /annotation-queues/{id}/runs": Declared("Add runs", body="run_id:uuid!", kind="list"),
    "POST /annotation-queues/{id}/runs/by-key": Declared("Add runs", body="run_id:uuid!", kind="list"),
    "GET /annotation-queues/{id}/runs": Declared(
        "Runs of a queue", query=f"{_PAGE} status:text archived:bool"
    ),
    "DELETE /annotation-queues/{id}/runs/{run}": Declared("Take a run out"),
    "PATCH /annotation-queues/{id}/runs/{run}": Declared(
        "Move a run", body="last_reviewed_time:time added_at:time", kind="json"
    ),
    "GET /annotation-queues/{id}/run/{index:int}": Declared("The run at a place"),
    "POST /annotation-queues/{id}/runs/delete": Declared(
        "Take runs out", body="run_ids:uuid* delete_all:bool exclude_run_ids:uuid*", kind="json"
    ),
    "POST /annotation-queues/{id}/export": Declared(
        "What was reviewed, with feedback",
        body="start_time:time end_time:time include_annotator_detail:bool",
        kind="json",
    ),
    "GET /annotation-queues/{id}/queues": Declared("Queues of a run"),
    "POST /platform/annotation-queues/items/{id}/status": Declared(
        "Reviewed or not", body="status:text override_added_at:time", kind="json"
    ),
    "POST /platform/annotation-queues/{id}/items": Declared(
        "Add runs and threads", body="items:list!", kind="json"
    ),
    "GET /platform/annotation-queues/{id}/items": Declared(
        "A page of items",
        query=f"status:text! item_type:text direction:text {_WINDOW} cursor:text page_size:int",
    ),
    "GET /platform/annotation-queues/{id}/items/count": Declared(
        "How many", query=f"status:text! {_WINDOW} start_time:time end_time:time"
    ),
    "POST /platform/annotation-queues/{id}/items/delete": Declared(
        "Take items out", body="item_ids:uuid*!", kind="json"
    ),
    "PATCH /platform/annotation-queues/{id}/items/{item}": Declared(
        "Move an item", body="last_reviewed_time:time added_at:time", kind="json"
    ),
    "GET /platform/annotation-queues/{id}/items/{item}/placement": Declared("Where an item stands"),
    # online evaluators: kept, not run
    "POST /platform/evaluators": Declared(
        "Keep an evaluator", body=f"type:text! {_EVALUATOR}", kind="json", status=201
    ),
    "GET /platform/evaluators": Declared("Evaluators", query=f"{_PAGE} name_contains:text type:text"),
    "DELETE /platform/evaluators": Declared("Delete evaluators", query="evaluator_ids:uuid*!"),
    "GET /platform/evaluators/{id}": Declared("One evaluator"),
    "PATCH /platform/evaluators/{id}": Declared("Change an evaluator", body=_EVALUATOR, kind="json"),
    "DELETE /platform/evaluators/{id}": Declared("Delete an evaluator", status=204),
    # the second generation of reads
    "POST /v2/runs/query": Declared(
        "A page of runs",
        body=f"project_ids:uuid* reference_dataset_id:uuid ids:uuid* is_root:bool has_error:bool run_type:text "
        f"reference_examples:uuid* trace_id:uuid include_subtree_usage:bool {_V2}",
        kind="json",
        unserved="ai_search",
    ),
    "GET /v2/runs/{id}": Declared("One run", query=_PROJECT),
    "GET /v2/runs/{id}/url": Declared("Its page", query="project_id:uuid! trace_id:uuid!"),
    "POST /v2/traces/query": Declared(
        "A page of traces",
        body=f"project_id:uuid! trace_ids:uuid* {_V2}",
        kind="json",
        unserved="ai_search",
    ),
    "GET /v2/traces/{id}/runs": Declared("A trace", query=f"{_PROJECT} filter:text {_WINDOW}"),
    "POST /v2/datasets/{id}/experiment-runs": Declared(
        "Examples with their runs",
        body="experiment_ids:uuid*! example_ids:uuid* filters:obj comparative_experiment_id:uuid page_size:int "
        "cursor:text selects:text* sort:obj",
        kind="json",
        unserved="ai_search",
    ),
    "POST /v2/threads/query": Declared(
        "A page of threads", body=f"project_id:uuid! {_V2}", kind="json", unserved="thread_filter, ai_search"
    ),
    "POST /v2/threads/stats": Declared(
        "Sums over threads",
        body=f"project_id:uuid! select:text*! {_WINDOW} {_FILTERS}",
        kind="json",
        unserved="thread_filter, ai_search",
    ),
    "GET /v2/threads/{id}/traces": Declared(
        "Traces of a thread", query=f"{_PROJECT} {_FILTERS} cursor:text page_size:int"
    ),
    "GET /v2/threads/{id}/stats": Declared("Sums", query="session_id:uuid! filter:text selects:text*"),
    "POST /v2/runs/{id}/share": Declared(
        "Share a trace", body="trace_id:uuid! session_id:uuid!", kind="json"
    ),
    "DELETE /v2/runs/{id}/share": Declared("Share a trace no more", query="trace_id:uuid session_id:uuid"),
    "GET /v2/public/{token}/run/{id}": Declared("A shared run", query="selects:text*"),
    "POST /v2/public/{token}/runs/query": Declared(
        "Shared runs", body=_V2, kind="json", unserved="ai_search"
    ),
    # for tests, where there is an admin token
    "PUT /_admin/faults": Declared(
        "Break the server", body="fault:list seed:int conflict_mode:text", kind="json"
    ),
    "GET /_admin/faults": Declared("What the faults did"),
    "PUT /_admin/flags": Declared("Change the flags of /info", body="", kind="json"),
    "GET /_admin/truth": Declared("What arrived", query="session:text!"),
}

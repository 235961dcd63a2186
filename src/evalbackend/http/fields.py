"""Fields that several operations have in common, as `Operation` spells them.

A field is `name:type`; `*` after the type says that there may be several, `!` that it must be there.
Bodies may have further fields that are kept, or not looked at, as the service does it.
"""

from __future__ import annotations

PAGE = "limit:int offset:int"
RUN = (
    "trace_id:uuid parent_run_id:uuid reference_example_id:uuid dotted_order:text name:text run_type:text "
    "start_time:time end_time:time session_id:uuid session_name:text tags:text* inputs:obj outputs:obj "
    "extra:obj events:list serialized:obj error:text"
)
SESSION = (
    "id:uuid name:text description:text extra:obj start_time:time end_time:time reference_dataset_id:uuid "
    "num_examples:int num_repetitions:int evaluator_keys:text*"
)
DATASET = (
    "id:uuid name:text description:text data_type:text inputs_schema_definition:obj "
    "outputs_schema_definition:obj transformations:list metadata:obj extra:obj"
)
EXAMPLE = (
    "dataset_id:uuid created_at:time metadata:obj split:text* inputs:obj outputs:obj source_run_id:uuid "
    "use_source_run_io:bool use_source_run_attachments:text* attachments_operations:obj"
)
FEEDBACK = (
    "id:uuid run_id:uuid session_id:uuid trace_id:uuid comparative_experiment_id:uuid key:text! score:any "
    "value:any comment:text correction:any feedback_source:obj feedback_group_id:uuid created_at:time "
    "modified_at:time extra:obj error:bool"
)
CONFIG = "feedback_key:text! feedback_config:obj is_lower_score_better:bool is_enforced:bool"
QUEUE = (
    "id:uuid name:text description:text rubric_instructions:text rubric_items:list metadata:obj "
    "default_dataset:uuid num_reviewers_per_item:int enable_reservations:bool reservation_minutes:int "
    "reviewer_access_mode:text session_ids:uuid*"
)
EVALUATOR = "name:text code_evaluator:obj llm_evaluator:obj"
FILTERS = "filter:text trace_filter:text tree_filter:text"
QUERY = (
    f"session:uuid* id:uuid* trace:uuid parent_run:uuid reference_example:uuid* run_type:text is_root:bool "
    f"error:bool start_time:time end_time:time {FILTERS} order:text select:text* limit:int cursor:text"
)
WINDOW = "min_start_time:time max_start_time:time"
V2 = f"{WINDOW} {FILTERS} selects:text* cursor:text page_size:int"
TOKEN = "run_id:uuid! feedback_key:text! id:uuid expires_at:time expires_in:obj feedback_config:obj"  # noqa: S105  names of fields
PROJECT = "project_id:uuid! selects:text*"
USE = "score:any value:any comment:text correction:any metadata:obj"
OLDER = "older reads, where the flags turn them off"

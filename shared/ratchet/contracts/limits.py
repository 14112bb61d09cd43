"""Every size, count and time limit that a user can meet, with its reason. Nothing else invents one."""

# HTTP API
MAX_BODY_BYTES = 256 * 1024
"""Request bodies above this are answered 413. SQS, SNS and Step Functions stay far below their own limits."""
MAX_BODY_DEPTH = 32
"""Arrays and objects in each other: what no request needs, and parsers stumble over."""
MAX_GOAL_CHARS = 100_000
MAX_METADATA_ENTRIES = 20
MAX_METADATA_VALUE_CHARS = 512
MAX_USER_ID_CHARS = 128
"""Of callers' requests and of their credentials: in keys of the table it may be four times as many bytes."""
MAX_IDEMPOTENCY_KEY_CHARS = 255
"""As Stripe: https://docs.stripe.com/api/idempotent_requests."""
IDEMPOTENCY_RETENTION_SECONDS = 7 * 24 * 3600
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
MAX_BATCH_TASKS = 90
"""A batch is one transaction of DynamoDB, which takes 100 writes."""
MAX_CURSOR_CHARS = 1_024
"""No cursor that we hand out is half as long."""
MAX_WAIT_SECONDS = 25
"""Long polls end before the API Gateway's 29 s integration timeout."""

# Agents
DEFAULT_MAX_STEPS = 50
DEFAULT_MAX_COST_USD = 1.0
DEFAULT_MAX_TOKENS = 1_000_000
DEFAULT_DEADLINE_SECONDS = 3600
MAX_STEPS_CAP = 5_000
MAX_DEADLINE_SECONDS = 30 * 24 * 3600
MAX_OUTPUT_TOKENS = 8_192
"""Output tokens asked of a model in one call; the worst case that a cost check assumes."""
MAX_TOOL_RESULT_CHARS = 100_000
"""A longer tool result is cut, with a note that says so to the model."""
MAX_TOOL_CALLS_PER_STEP = 16
MAX_REPAIRS = 2
"""How often bad model output goes back to the model before the step escalates to the complex route."""
COMPACT_AT_PERCENT = 60
"""Of the smallest context window of a step's route: a longer prompt is summarized first. The rest is for the answer."""
MIN_REPLACED_PERCENT = 25
"""Of that length: with less to replace, a summary saves little, and the next one would be due at once."""
CUT_RESULT_CHARS = 500
"""What is left of a long tool result when not even the call that summarizes the history takes it whole."""

BUDGET_WARNINGS_PERCENT = (50, 80, 100)
"""Shares of max_cost_usd that are announced, each once; 100 also when the rest does not pay for the next call."""

# Storage
INLINE_BODY_BYTES = 32 * 1024
"""Compressed bodies above this go to S3; an item stays far below DynamoDB's 400 KB."""
TERMINAL_RETENTION_SECONDS = 30 * 24 * 3600
"""How long a finished task can be read. Then the sweeper erases it."""
TTL_MARGIN_SECONDS = 7 * 24 * 3600
"""TTL comes later than the sweeper, and only takes what the sweeper could not."""
BATCH_RETENTION_SECONDS = MAX_DEADLINE_SECONDS + TERMINAL_RETENTION_SECONDS
"""As long as the slowest of its tasks can be read."""

# Usage ledger
MAX_USAGE_DAYS = 92
"""A quarter: 32 queries at most."""
DEFAULT_USAGE_DAYS = 30
USAGE_RETENTION_SECONDS = 400 * 24 * 3600
"""How long the usage of a day can be read."""
MAX_USAGE_ROWS = 100_000
"""Counters that one answer may add up: some ten seconds at the api's memory."""
MAX_USAGE_GROUPS = 1_000
"""The dearest ones; what the others used is in one sum. An answer of Lambda has 6 MB."""

# Sessions
SESSION_HISTORY_TOKENS = 8_000
"""What a task is told of its session at most, estimated at 3 bytes a token: the oldest tasks fall out whole."""
SESSION_TURN_PERCENT = 50
"""The share that one task may have of that. One that did more is told by its goal and its last words, cut to fit."""
MAX_SESSION_LINE = 100
"""Tasks that may wait in one session."""
SESSION_LOOK_SECONDS = 300
"""How often a task that waits for its session looks whether the one that it waits for has ended unseen."""

# Schedules
MAX_SCHEDULES = 200
"""Of one tenant, those that have not ended. Counted before one is made, so requests at the same time may pass it by a
few."""
MAX_SCHEDULE_EXPRESSION_CHARS = 256
"""As EventBridge Scheduler."""
MAX_TIMEZONE_CHARS = 50
ENDED_SCHEDULE_SECONDS = TERMINAL_RETENTION_SECONDS
"""How long a schedule that has ended can be read: as long as the task that it made last."""
FIRING_RETRY_SECONDS = 3600
"""How long a run that could not be submitted is tried again, by EventBridge and then by Lambda; it is given up then."""
FIRING_RETRIES = 2
"""Lambda makes no more, one and two minutes later: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html"""

# Memory
MAX_MEMORY_BYTES = 8 * 1024
"""Of one memory's value as JSON: a fact, not a document."""
MAX_MEMORIES = 500
"""In one namespace: with their sizes the most that a search reads, 4 MB. What is full refuses; nothing falls out."""
MAX_MEMORY_QUERY_CHARS = 500
MEMORY_DAYS = 365
"""How long what an agent has remembered is kept after it was last written, unless the agent says otherwise."""
MAX_MEMORY_TTL_SECONDS = 10 * 365 * 24 * 3600
RECALLED_MEMORIES = 20
"""What `recall` tells a model at most, the best or newest ones."""

ERASED_AT_ONCE = 100
"""Tasks of a user that one request deletes: a few seconds of the 29 that API Gateway waits."""

# Step executor
TIME_RESERVE_SECONDS = 10.0
"""A model call must leave this much of the Lambda timeout for the checkpoint."""
STILL_WANTED_SECONDS = 5.0
"""How often a step that waits for a model looks whether its task was cancelled: one read request each time."""
MIN_START_SECONDS = 15.0
"""With less time than this left, the step is handed back to be retried in a fresh invocation."""

# Routing
REPEATS_BEFORE_ESCALATION = 3
"""After the same tool calls with the same results so often in a row, one step is taken on the complex route."""
REPEATS_BEFORE_END = 5
"""After so many the task ends: each one costs a model call, and the better model has had its turn."""
ROUTING_OVERRIDE_SECONDS = 60
"""How long a sandbox of the api goes by what it has read of the routing override."""

# Response cache
MAX_CACHE_TTL_SECONDS = TERMINAL_RETENTION_SECONDS
"""A cached answer never outlives the tasks whose words it holds."""
CACHE_REQUEST_SECONDS = 15.0
"""What one read or write may take at its worst, three tries of 4 s and the pauses. With less left it is not sent."""
EMBEDDING_SECONDS = 10.0
"""What embedding a goal may take; a semantic cache that needs longer is passed by."""
MAX_KNOWN_GOALS = 200
"""A goal is compared with so many, the newest first: one Query of at most 1 MB."""
MAX_SIMILAR_TASKS = 3
"""Of the tasks whose goals are similar enough, the records of so many are read for one that may answer."""

# Recovery
RING_AGAIN_SECONDS = 60
"""A doorbell that nothing has answered by then is rung again by the sweeper."""
WATCH_SECONDS = 300
"""How often the sweeper asks whether the execution of a running task is alive."""
MAX_RESTARTS = 5
"""Dead executions in a row, without a step committed between them, before the task fails."""
QUEUE_RECEIVES = 5
"""Before a message is a dead letter. Throttling burns receives too, so fewer would dead-letter healthy messages."""
DEAD_LETTER_TRIES = 2
"""How often a dead letter is tried once more. Who died of it twice did not do so by chance."""
STEPS_PER_EXECUTION = 500
"""Some 7 history events a step and 3 a retry, against the 25,000 that an execution may have."""
WAITS_PER_EXECUTION = 1_000
"""And 13 a wait. A model that answers 429 with a Retry-After of a second fills an execution in an hour."""

INTERRUPT_SECONDS = 7 * 24 * 3600
"""How long a question to a person stays open. Then a call counts as rejected and a question of the agent as unanswered,
and the agent is told; a task that asked what became of an unsafe call fails."""
MAX_ANSWER_CHARS = 10_000
"""Of an answer to a question of the agent, and of a reason."""
MAX_QUESTION_CHARS = 4_000
"""Of a question that an agent asks by `ask_human`."""
MAX_CHOICES = 10
MAX_CHOICE_CHARS = 128
SHOWN_ARGUMENTS_CHARS = 500
"""Of a call's arguments in the words of a question; `arguments` beside it holds them whole."""
CLOCK_MARGIN_SECONDS = 600
"""How much longer than its invocation an attempt is taken to be alive: two clocks may be off by five minutes each."""

# Suspended tenants
SUSPENSION_CACHE_SECONDS = 15
"""How long a sandbox goes by what it has read of a tenant: a suspension holds everywhere after it."""
MAX_SUSPENSION_REASON_CHARS = 500
SUSPENDED_LOOK_SECONDS = 900
"""How often a step, a queued task or an announcement of a suspended tenant looks whether it may go on."""
ERASE_AFTER_SECONDS = 1_200
"""How long a tenant must have been suspended to be erased: a step that ran when it was is over, at 870 s the most."""

TOMBSTONE_SECONDS = 1_200
"""A deleted task leaves its id for so long; then that goes, with what attempts that still ran have written."""
MAX_ERASING_PASSES = 20
"""Two are enough; after so many, something still writes."""

# Announcements
DELIVERY_DELAYS_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Pauses between tries, ten tries in all over 75.6 h, as Standard Webhooks proposes:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
DELIVERY_JITTER_PERCENT = 10
"""By up to so much a pause is longer: a receiver that comes back is not met by everything at once."""
MAX_RETRY_AFTER_SECONDS = 12 * 3600
"""The longest that a receiver's Retry-After puts off the next try; it never brings one forward. With it at every try, a
delivery is over within six days."""
WEBHOOK_GONE_SECONDS = 30 * 24 * 3600
"""A URL that answered 410 gets nothing for so long, or until somebody sends one of its deliveries again."""
WEBHOOK_OVERLAP_HOURS = 24
"""How long a webhook secret that was replaced signs too, so that its receiver can change over in peace."""
SECRET_CACHE_SECONDS = 300
"""A secret that was replaced in Secrets Manager is in use everywhere after this."""
SECRET_LOOK_SECONDS = 15
"""A signature that no known key made: the keys are read again, but only if they are older than this."""
MAX_WEBHOOK_KEYS_BYTES = 60_000
"""Secrets Manager takes 64 KB: some 300 endpoints whose secret was rotated."""
LINK_RATE = 10
LINK_BURST = 20
"""Requests a second for all decision links of a deployment: people click them, and scanners that read mail."""
MAX_LINK_CHARS = 1_000
MAX_EVENT_BYTES = 20_000
"""Standard Webhooks asks for bodies under 20 kB; a longer result is left out and flagged."""
WEBHOOK_TOTAL_SECONDS = 15.0
WEBHOOK_CONNECT_SECONDS = 3.0
WEBHOOK_MAX_RESPONSE_BYTES = 64 * 1024
WEBHOOK_MAX_URL_CHARS = 2_048

# Admission
MIN_RUNNING_TASKS = 20
"""The deployment's limit when nothing waits: what starts at once after a quiet time."""
MAX_RUNNING_TASKS = 900
"""A running task holds at most one sandbox; the rest of an account's 1,000 is for the other functions."""
ADMISSION_ADJUST_SECONDS = 5
ADMISSION_SHALLOW_DEPTH = 10
"""The limit rises when more tasks than this wait."""
ADMISSION_CUT = 0.8
"""What 429s leave of the limit."""
ADMISSION_THROTTLED_SHARE = 0.001
"""The share of model calls that may be answered 429 before the limit falls."""
ADMISSION_PARKED_SHARE = 0.1
"""The share of steps that may park for a token bucket while the limit still rises."""
ADMISSION_RESERVE_PERCENT = 10
"""Slots kept for tenants that hold fewer than these."""
DEFAULT_PRIORITY = 5
MAX_PRIORITY = 9
ADMISSION_CACHE_SECONDS = 1
"""How long a sandbox goes by the limit and the list of waiting tenants that it has read."""
ADMITTED_AT_ONCE = 10
"""Tasks that one doorbell may start when more than one slot is free."""
LINES_READ = 8
"""Tenants whose lines are read for one decision: those with the fewest running tasks."""
TENANTS_COMPARED = 80
"""Waiting tenants whose running tasks are counted for one decision: they and the shards are one BatchGetItem of 100."""
WAITING_NOTE_SECONDS = 10
"""How long a sandbox does not repeat the note that a tenant waits."""
WAITING_LAPSE_SECONDS = 180
"""After this long without a note, a tenant is not asked for waiting tasks. The sweeper renews the notes each minute."""
WAITING_LOOK_SECONDS = 3600
"""How often a waiting task is looked at although no slot was free: it also recovers lines that nobody knows of."""
SWEEP_RINGS = 100
"""Waiting tasks that one run of the sweeper rings for."""
SPANS_SEND_SECONDS = 2.0
"""How long an invocation waits at most for the tracing backend, in all."""
SPANS_PAUSE_SECONDS = 60
"""How long a backend that did not take spans is left alone by a sandbox: what happens meanwhile is not traced."""

#!/usr/bin/env bash
# Uses the API with curl alone.
set -euo pipefail

url=${PLIMSOLL_URL:-http://127.0.0.1:8787}
key=${PLIMSOLL_KEY:-pk-demo-balanced}
question='"model": "plimsoll-demo", "seed": 1, "max_tokens": 16,
  "messages": [{"role": "user", "content": "How do I clean a pan?"}]'

api() {
  local path=$1
  shift
  # The key is not among curl's arguments, which the list of processes shows to everybody.
  curl --silent --show-error --fail-with-body --header @<(printf 'Authorization: Bearer %s\n' "$key") "$@" "$url$path"
  echo
}
ask() {
  api /v1/chat/completions --no-buffer --header 'Content-Type: application/json' --data "$1"
}

echo '# The models that are served'
api /v1/models

# With trace "none", the answer's "plimsoll" holds only the policy and the receipt.
echo '# A whole answer'
ask "{$question, \"plimsoll\": {\"trace\": \"none\"}}"

echo '# The same answer, streamed'
ask "{$question, \"stream\": true, \"plimsoll\": {\"trace\": \"none\"}}"

# A request can raise its tenant's floor and lower its budget, never the reverse.
echo '# Under a stricter line: "plimsoll" says which one held, and what was spent'
ask "{$question, \"plimsoll\": {\"floor\": 0.9, \"budget\": 1}}"

echo '# With the numbers of every token'
ask "{$question, \"plimsoll\": {\"trace\": \"tokens\"}}"

echo '# The keys that sign receipts'
api /.well-known/jwks.json

/** What is known inside of the fields of a request for a response. */
import { IGNORED_IN_TOOLS, type Inside, ofType } from './inner-fields.ts';

type Fields = Readonly<Record<string, unknown>>;

const named: Inside = { known: ['type', 'name'] };
const anyFormat: Inside = { known: ['type'] };
/** As answers have them. */
const part: Inside = { known: ['type', 'text', 'refusal', 'annotations', 'logprobs'], isOpen: true };
const item: Inside = {
  known: ['type', 'id', 'status', 'role', 'content', 'call_id', 'name', 'arguments', 'output'],
  isOpen: true,
  inside: { content: part, output: part },
};

export const INSIDE_RESPONSES = {
  tools: ofType({
    function: { known: ['type', 'name', 'description', 'parameters', 'strict'], ignored: IGNORED_IN_TOOLS },
  }),
  tool_choice: ofType({
    function: named,
    allowed_tools: { known: ['type', 'mode', 'tools'], inside: { tools: named } },
  }),
  text: {
    known: ['format', 'verbosity'],
    inside: {
      format: ofType({
        text: anyFormat,
        json_object: anyFormat,
        json_schema: { known: ['type', 'name', 'description', 'schema', 'strict'] },
      }),
    },
  } satisfies Inside,
  // The models here do not reason first, so there is nothing to sum up.
  reasoning: { known: ['effort', 'summary', 'generate_summary', 'context'] } satisfies Inside,
  // Its kind is looked at where it is read, with a better error.
  input: (_item: Fields): Inside => item,
};

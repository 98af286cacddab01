/** What is known inside of the fields of a request for a response. */
import { IGNORED_IN_TOOLS, type Inside, ofType } from './inner-fields.ts';
import { itemType } from './responses-items.ts';

type Fields = Readonly<Record<string, unknown>>;

const named: Inside = { known: ['type', 'name'] };
const anyFormat: Inside = { known: ['type'] };
/** With what answers have beside what is read. */
const part = ofType({
  input_text: { known: ['type', 'text'], isOpen: true },
  output_text: { known: ['type', 'text', 'annotations', 'logprobs'], isOpen: true },
  refusal: { known: ['type', 'refusal'], isOpen: true },
});
const item = ofType({
  message: { known: ['type', 'id', 'status', 'role', 'content'], isOpen: true, inside: { content: part } },
  function_call: { known: ['type', 'id', 'status', 'call_id', 'name', 'arguments'], isOpen: true },
  function_call_output: {
    known: ['type', 'id', 'status', 'call_id', 'output'],
    isOpen: true,
    inside: { output: part },
  },
  item_reference: { known: ['type', 'id'], isOpen: true },
});

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
  // Other types are refused where items are read, with a better error.
  input: (fields: Fields): Inside | null => item({ type: itemType(fields) }),
};

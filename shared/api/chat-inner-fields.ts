/** What is known inside of the fields of a chat request. */
import { IGNORED_IN_TOOLS, type Inside, ofType } from './inner-fields.ts';

const named = ofType({ function: { known: ['type', 'function'], inside: { function: { known: ['name'] } } } });

const part = ofType({
  text: { known: ['type', 'text', 'annotations', 'logprobs'], isOpen: true },
  refusal: { known: ['type', 'refusal'], isOpen: true },
});

export const INSIDE_CHAT = {
  tools: ofType({
    function: {
      known: ['type', 'function'],
      ignored: IGNORED_IN_TOOLS,
      inside: { function: { known: ['name', 'description', 'parameters', 'strict'], ignored: IGNORED_IN_TOOLS } },
    },
  }),
  tool_choice: (choice: Readonly<Record<string, unknown>>) =>
    named(choice) ??
    ofType({
      allowed_tools: {
        known: ['type', 'allowed_tools'],
        inside: { allowed_tools: { known: ['mode', 'tools'], inside: { tools: named } } },
      },
    })(choice),
  // ignored-fields.ts has looked at a message's own.
  messages: {
    inside: {
      content: part,
      tool_calls: {
        // `index` is of a stream, and OpenAI's clients add what they have parsed.
        known: ['index', 'id', 'type', 'function'],
        isOpen: true,
        inside: { function: { known: ['name', 'arguments', 'parsed_arguments'], isOpen: true } },
      },
    },
  } satisfies Inside,
};

/** Where a receipt comes from: the token itself, a file with it, or a whole answer of the API. */
import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import * as z from 'zod';
import { whyNot } from '../options/why-not.ts';
import { CannotCheck } from './cannot-check.ts';

const JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const Extension = z.object({
  receipt: z.string(),
  drawn_text: z.string().optional(),
  cache: z.object({ receipt: z.string().optional() }).optional(),
});
/** What we read of an answer, or of an error in its place. */
const ChatAnswer = z
  .object({
    plimsoll: Extension,
    choices: z.tuple([z.object({ message: z.object({ content: z.string().nullable() }) })], z.unknown()),
  })
  .transform(({ plimsoll, choices }) => ({ plimsoll, shown: choices[0].message.content ?? '' }));
const Text = z.object({ type: z.literal('output_text'), text: z.string() });
/** Of `/v1/responses`: calls and what was refused are items and parts of other types. */
const ResponseAnswer = z
  .object({
    plimsoll: Extension,
    output: z.array(z.object({ content: z.array(z.unknown()).optional() })),
  })
  .transform(({ plimsoll, output }) => {
    const parts = output.flatMap(({ content = [] }) => content).map((part) => Text.safeParse(part));
    return { plimsoll, shown: parts.map(({ data }) => data?.text ?? '').join('') };
  });
const Answer = z.union([ChatAnswer, ResponseAnswer]);
const Refusal = z.object({ error: z.object({ message: z.string(), plimsoll: z.object({ receipt: z.string() }) }) });

/**
 * `answer` is the text, if there was more than the token. Of an answer that was made for another
 * request, the token is the edge's, and `first` is the one that it names.
 */
export async function readReceipt(source: string): Promise<{ token: string; answer?: string; first?: string }> {
  if (JWS.test(source)) return { token: source };
  const where = source === '-' ? 'stdin' : source;
  const text = (source === '-' ? await textOf(process.stdin) : await readSource(source)).trim();
  if (JWS.test(text)) return { token: text };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CannotCheck(`${where} has no receipt: found ${quoted(text)}, wanted a token or the JSON of an answer`, {
      cause,
    });
  }
  const answer = Answer.safeParse(json);
  if (answer.success) {
    const { plimsoll, shown } = answer.data;
    // Where calls were read in the text, the message has only the rest of it.
    const text = plimsoll.drawn_text ?? shown;
    const again = plimsoll.cache?.receipt;
    if (again !== undefined) return { token: again, first: plimsoll.receipt, answer: text };
    return { token: plimsoll.receipt, answer: text };
  }
  const refusal = Refusal.safeParse(json);
  if (refusal.success) {
    const { message, plimsoll } = refusal.data.error;
    return { token: plimsoll.receipt, answer: message };
  }
  throw new CannotCheck(`${where} has no receipt: wanted plimsoll.receipt of an answer, or error.plimsoll.receipt`);
}

function readSource(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CannotCheck(`${quoted(file)} is no token, and cannot be read as a file: ${whyNot(cause)}`, { cause });
  });
}

const quoted = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);

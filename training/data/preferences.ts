/** Readers of preference pairs, in the public layouts and in our own. See `dialogues.ts`. */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { readJsonLines } from './read-jsonl.ts';
import type { Preference } from './rows.ts';

const Choice = z.union([z.literal(0), z.literal(1)]);
const Source = z.string().optional();
const Prompt = z.union([z.string().min(1), z.array(Message).min(1)]);

/** Our `pref_*` files. */
const Pair = z.object({
  prompt: Prompt,
  response_0: z.string(),
  response_1: z.string(),
  better: Choice.nullable(),
  safer: Choice.nullable(),
  source: Source,
});
/** PKU-SafeRLHF: `better_response_id` is helpfulness, `safer_response_id` harmlessness. */
const PkuSafeRlhf = z.object({
  prompt: z.string().min(1),
  response_0: z.string(),
  response_1: z.string(),
  better_response_id: Choice,
  safer_response_id: Choice,
});
/** HH-RLHF: two whole transcripts, alike up to the last answer. Which dimension was judged is the split's, not the row's. */
const Transcript = z.string().transform((text, context): Message[] => {
  const messages = parseTranscript(text);
  if (messages.length < 2 || messages.at(-1)!.role !== 'assistant') {
    const message = 'a transcript goes from "\\n\\nHuman:" to a last "\\n\\nAssistant:"';
    context.addIssue({ code: 'custom', message });
  }
  return messages;
});
const HhRlhf = z.object({ chosen: Transcript, rejected: Transcript });
/** HH-RLHF already cut into a prompt and two answers: our `pref_hh_*`. */
const HhMessages = z.object({
  messages: z.array(Message).min(1),
  chosen: z.string(),
  rejected: z.string(),
  source: Source,
});

const asMessages = (prompt: string | Message[]): Message[] =>
  typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;

export type Dimension = 'better' | 'safer';
const chosenFirst = (dimension: Dimension): Pick<Preference, 'better' | 'safer'> => ({
  better: dimension === 'better' ? 0 : null,
  safer: dimension === 'safer' ? 0 : null,
});

const reader = <T>(
  schema: z.ZodType<T>,
  toPreference: (row: T, context: { file: string; dimension: Dimension }) => Preference,
) =>
  async function* (file: string, { dimension = 'safer' }: { dimension?: Dimension } = {}): AsyncGenerator<Preference> {
    for await (const row of readJsonLines(file, schema)) yield toPreference(row, { file, dimension });
  };

/** `dimension` says what was judged, for the layouts that hold one preference and do not say which. */
export const PREFERENCE_LAYOUTS = {
  plimsoll: reader(Pair, ({ prompt, response_0, response_1, better, safer, source }, { file }) => ({
    prompt: asMessages(prompt),
    responses: [response_0, response_1],
    better,
    safer,
    source: source ?? file,
  })),
  'pku-saferlhf': reader(PkuSafeRlhf, (row) => ({
    prompt: asMessages(row.prompt),
    responses: [row.response_0, row.response_1],
    better: row.better_response_id,
    safer: row.safer_response_id,
    source: 'PKU-SafeRLHF',
  })),
  'hh-rlhf': reader(HhRlhf, ({ chosen, rejected }, { dimension }) => ({
    prompt: chosen.slice(0, -1),
    responses: [chosen.at(-1)!.content, rejected.at(-1)!.content],
    ...chosenFirst(dimension),
    source: 'HH-RLHF',
  })),
  'hh-messages': reader(HhMessages, ({ messages, chosen, rejected, source }, { file, dimension }) => ({
    prompt: messages,
    responses: [chosen, rejected],
    ...chosenFirst(dimension),
    source: source ?? file,
  })),
};
export type PreferenceLayout = keyof typeof PREFERENCE_LAYOUTS;

/** "\n\nHuman: ...\n\nAssistant: ..." as messages. */
function parseTranscript(text: string): Message[] {
  const parts = text.split(/\n\n(Human|Assistant): ?/);
  const messages: Message[] = [];
  for (let i = 1; i + 1 < parts.length; i += 2) {
    messages.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() });
  }
  return messages;
}

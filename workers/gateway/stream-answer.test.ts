import fc from 'fast-check';
import { expect, test } from 'vitest';
import { STRICTEST } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { BegunAnswer } from './answer-extension.ts';
import type { AnswerEvents } from './read-answer.ts';
import { streamAnswer } from './stream-answer.ts';

const token = (text: string) => ({ id: 1, text, weight: 0.5, floor: 0, lp_s: null, lp_h: null, lp: -1, spent: 0 });

/** The events of these texts, up to where the answer breaks. */
async function eventsOf(texts: readonly string[], about: { model: string; trace: 'none' | 'tokens'; usage: boolean }) {
  async function* deltas(): AnswerEvents {
    for (const text of texts) yield { text, tokens: [token(text)] };
    throw new PlimsollError('backend_unavailable', 'It broke off.');
  }
  const head = { id: 'chatcmpl-1', created: 7, model: about.model, system_fingerprint: 'fp_0' };
  // The cast: only an answer's end looks at the rest.
  const begun = { events: deltas(), head, extension: {}, decided: { policy: STRICTEST, signals: {} } } as BegunAnswer;
  const events: string[] = [];
  const options = {
    trace: about.trace,
    top: 0,
    logprobs: null,
    choices: 1,
    includeUsage: about.usage,
    onError: () => {},
  };
  for await (const event of streamAnswer(Promise.resolve(begun), options)) events.push(event);
  return { head, events };
}

test('a chunk has exactly the form of its JSON, whatever the model and the text', async () => {
  const any = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('"content":""', '\\"content\\":\\"\\"', '', '⚓'),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(any, { maxLength: 8 }),
      fc.record({ model: any, trace: fc.constantFrom('none', 'tokens'), usage: fc.boolean() }),
      async (texts, about) => {
        const { head, events } = await eventsOf(texts, about);
        const { id, ...shared } = head;
        const chunk = (delta: object, text: string | null) => ({
          id,
          object: 'chat.completion.chunk',
          ...shared,
          choices: [{ index: 0, delta, logprobs: null, finish_reason: null }],
          ...(about.usage && { usage: null }),
          ...(about.trace === 'tokens' && { plimsoll: { tokens: text === null ? [] : [token(text)] } }),
        });
        const sent = texts.filter((text) => text !== '' || about.trace === 'tokens');
        const wanted = [
          chunk({ role: 'assistant', content: '', refusal: null }, null),
          ...sent.map((content) => chunk({ content }, content)),
        ];
        expect(events.slice(0, -1)).toEqual(wanted.map((each) => `data: ${JSON.stringify(each)}\n\n`));
        expect(events.at(-1)).toContain('"code":"backend_unavailable"');
      },
    ),
  );
});

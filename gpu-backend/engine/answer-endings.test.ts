/** Where an answer ends: stop strings across tokens, min_tokens, an ignored end. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AnswerOptions } from './answer.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { request } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const PROMPT = [7, 70, 71];
const EOS = 0;

const options: AnswerOptions = {
  vocabulary: {
    eos: [EOS],
    banned: [],
    bytesOf: (id) => (id === EOS ? undefined : Uint8Array.of(id)),
  },
  proposal: 0.5,
  contextLength: 96,
};

type Changes = Partial<EngineRequest>;
const textOf = (events: EngineEvent[]) => events.map((event) => ('text' in event ? event.text : '')).join('');
const idsOf = (events: EngineEvent[]) => events.flatMap((event) => (event.type === 'token' ? [event.id] : []));

async function drive(
  script: Script,
  changes: Changes = {},
  { vocabulary = options.vocabulary, vocabSize = SCRIPTED_VOCAB } = {},
) {
  const experts = new ScriptedExperts(script, { vocabSize });
  const { events } = await driveAnswer(experts, {
    request: { ...request({ promptIds: PROMPT, maxTokens: 60 }), ...changes },
    options: { ...options, vocabulary },
  });
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('an answer ends');
  return { text: textOf(events), ids: idsOf(events), reason: end.finish_reason, drawn: end.usage.completion_tokens };
}

/** Logits that allow one token. */
const only = (id: number, vocabulary: number) =>
  Float32Array.from({ length: vocabulary }, (_, other) => (other === id ? 30 : -30));

describe('stop strings', () => {
  /** Both experts write these pieces and then end. Token i + 1 is the i-th one. */
  const writesPieces = (pieces: Uint8Array[], stop: string[], changes: Changes = {}) => {
    const size = pieces.length + 1;
    const vocabulary = { eos: [EOS], banned: [], bytesOf: (id: number) => pieces[id - 1] };
    const script: Script = (_, ids) => only((ids.length - PROMPT.length + 1) % size, size);
    return drive(
      script,
      { promptIds: Array(PROMPT.length).fill(0), stop, ...changes },
      { vocabulary, vocabSize: size },
    );
  };

  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '€', '😀'), minLength: 1, maxLength: 12 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '€', '😀'), minLength: 1, maxLength: 3 }), {
    maxLength: 3,
  });

  test('end the text at the same place wherever tokens cut it, inside characters too', async () => {
    const given = fc.record({ text: letters, stop: stops, cuts: fc.array(fc.nat(48), { maxLength: 8 }) });
    await fc.assert(
      fc.asyncProperty(given, async ({ text, stop, cuts }) => {
        const bytes = new TextEncoder().encode(text);
        const borders = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort(
          (a, b) => a - b,
        );
        const pieces = borders.slice(1).map((end, i) => bytes.slice(borders[i], end));
        const { text: said, reason } = await writesPieces(pieces, stop);
        // The slow way: character by character, until the text ends with a stop string.
        const characters = [...text];
        let expected = text;
        for (let count = characters.length; count > 0; count--) {
          const prefix = characters.slice(0, count).join('');
          const ending = stop.filter((one) => prefix.endsWith(one));
          if (ending.length > 0) expected = prefix.slice(0, -Math.max(...ending.map(({ length }) => length)));
        }
        expect(said).toBe(expected);
        expect(reason).toBe('stop');
      }),
      { numRuns: 300 },
    );
  });

  test('do not end an answer before min_tokens, however they are cut; one that ends later does', async () => {
    const pieces = (...texts: string[]) => texts.map((text) => new TextEncoder().encode(text));
    const told = async (minTokens: number, ...texts: string[]) => {
      const { text, drawn } = await writesPieces(pieces(...texts), ['ab'], { minTokens });
      return [text, drawn];
    };
    expect(await told(0, 'x', 'a', 'b', 'y')).toEqual(['x', 3]);
    expect(await told(3, 'x', 'a', 'b', 'y')).toEqual(['xaby', 5]);
    expect(await told(2, 'x', 'a', 'b', 'y')).toEqual(['x', 3]);
    expect(await told(2, 'ab', 'ab', 'ab', 'y')).toEqual(['abab', 3]);
    expect(await told(1, 'xab', 'y')).toEqual(['xaby', 3]);
  });
});

describe('min_tokens', () => {
  const eager: Script = (source, ids) => {
    const logits = Array.from(babble(source, ids));
    logits[EOS] = 8;
    return logits;
  };

  test.each([1, 5, 60])('of %i: the answer has as many before its end, which may be the next', async (minTokens) => {
    const { ids, reason } = await drive(eager, { minTokens });
    expect(ids.slice(0, minTokens)).not.toContain(EOS);
    expect(ids.length).toBeLessThanOrEqual(minTokens + 8);
    expect(reason).toBe(minTokens === 60 ? 'length' : 'stop');
  });

  test('holds for an answer that is resumed', async () => {
    const asked = { ...request({ promptIds: PROMPT, maxTokens: 60 }), minTokens: 10 };
    const experts = () => new ScriptedExperts(eager, { vocabSize: SCRIPTED_VOCAB });
    const whole = await driveAnswer(experts(), { request: asked, options });
    for (const atMost of [1, 5, 9, 10]) {
      const first = await driveAnswer(experts(), { request: asked, options, atMost });
      const rest = await driveAnswer(experts(), { request: { ...asked, resume: first.state }, options });
      expect([...idsOf(first.events), ...idsOf(rest.events)]).toEqual(idsOf(whole.events));
    }
  });
});

describe('ignore_eos', () => {
  const ending: Script = (source, ids) => {
    const logits = Array.from(babble(source, ids));
    logits[EOS] = 7;
    return logits;
  };

  test('goes on to the limit; up to its first end, the answer is the one it would have been', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const { sampling } = request({ sampling: { seed } });
      const plain = await drive(ending, { sampling });
      const endless = await drive(ending, { sampling, ignoresEnd: true });
      expect(endless).toMatchObject({ reason: 'length', drawn: 60 });
      expect(endless.ids.slice(0, plain.ids.length)).toEqual(plain.ids);
      expect(plain).toMatchObject({ reason: 'stop' });
      // The end has no text, and the answer continues behind it.
      expect(endless.text.startsWith(plain.text)).toBe(true);
    }
  });

  test('still ends at a stop string', async () => {
    const { text, reason } = await drive(ending, { ignoresEnd: true, stop: ['a', 'e', 'i', 'o', 'u'] });
    expect(reason).toBe('stop');
    expect(text).not.toMatch(/[aeiou]/);
  });
});

/**
 * Answers that one backend begins and another one continues: over HTTP, from the frames that the
 * first one sent before it was gone.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { deriveFrameKey } from '#shared/protocol/frame-mac.ts';
import type { Frame, GenerateBody } from '#shared/protocol/generate.ts';
import { IdBytes } from '#shared/protocol/ids-digest.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { importFrameKey, type ResumeState } from '#shared/protocol/resume.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import { DEFAULT_LIMITS } from '../engine/engine.ts';
import { startLocalEngine } from '../engine/local-engine.ts';
import { type Script, ScriptedExperts } from '../engine/scripted-experts.ts';
import { options as looked, RULES } from '../engine/testing/looked-answers.ts';
import { babble, SCRIPTED_EXPERTS, SCRIPTED_VOCAB } from '../engine/testing/scripted-engine.ts';
import type { EncodePrompt } from './encode-prompt.ts';
import { allFrames, call, DRAW_SECRET, generateRequest, SECRET } from './testing/backend-client.ts';
import { endOf, errorOf, type Scripted, scriptedBackends, textOf } from './testing/scripted-backends.ts';

const { serve, jwks } = scriptedBackends();
const frameKey = await importFrameKey(await deriveFrameKey(directiveKey(SECRET)));

/** Parts of characters and of stop strings come often. The end is rare. */
const pieces = [...new TextEncoder().encode('€⚓é😀abc##')];
const noise: Script = (source, ids, bounds) => {
  const logits = babble(source, ids, bounds);
  return Array.from({ length: SCRIPTED_VOCAB }, (_, id) =>
    id === 0 ? -3 : pieces.includes(id) ? 3 + logits[id]! / 3 : logits[id]! / 2 - 3,
  );
};

type Answered = { frames: Frame[]; directive: Directive };

/** Asks a backend, and keeps what was signed for it. */
async function ask(
  url: string,
  body: GenerateBody,
  {
    edit = (directive) => directive,
    ids,
  }: { edit?: (directive: Directive) => Directive; ids?: readonly number[] } = {},
): Promise<Answered> {
  let signed: Directive | undefined;
  const response = await call(url, body, {
    edit: (directive) => (signed = edit(directive)),
    ...(ids && { ids }),
  });
  if (!response.ok) throw new Error(JSON.stringify(await errorOf(response)));
  return { frames: await allFrames(response), directive: signed! };
}

const tokensOf = (frames: readonly Frame[]) => frames.filter((frame) => frame.type === 'token');
const startOf = (frames: readonly Frame[]) => frames.find((frame) => frame.type === 'start')!;

/** What the edge knows once it has read the first `count` tokens of each of these answers. */
async function accountOf(read: readonly (Answered & { count: number })[]): Promise<AnswerAccount> {
  const account = new AnswerAccount(frameKey);
  for (const { frames, directive, count } of read) {
    await account.begin({ directive, start: startOf(frames) });
    for (const token of tokensOf(frames).slice(0, count)) account.push(token);
    expect(await account.vouch()).toHaveLength(count);
  }
  return account;
}

/** Goes on from there at another backend. */
async function goOn(url: string, body: GenerateBody, account: AnswerAccount, first: Directive): Promise<Answered> {
  const resume = await account.resume();
  const edit = () => ({ ...first, id: crypto.randomUUID(), resume });
  return ask(url, body, { edit, ids: account.ids() });
}

/** What must be the same, however many backends drew an answer. */
function essence(frames: readonly Frame[]): object[] {
  return frames.flatMap((frame): object[] => {
    if (frame.type === 'token') {
      const { mark, ...token } = frame;
      return [{ ...token, ran: mark?.ran }];
    }
    if (frame.type === 'text') return [frame];
    if (frame.type !== 'end') return [];
    const { receipt: _, usage, ...end } = frame;
    // What is found among kept prefixes depends on the backend.
    const { prompt_tokens_details: __, ...counted } = usage;
    return [{ ...end, usage: counted }];
  });
}

const opening = { tokens: 6, floor: 0.8 };
type Case = { body?: Partial<GenerateBody>; line?: Partial<Line>; script?: Scripted };
const cases: [string, Case][] = [
  ['characters and stop strings across the seam', { body: { stop: ['⚓a', '##b', '€€'] } }],
  ['an opening floor and a budget', { line: { floor: 0.2, budget: 4, opening } }],
  ['an earned budget', { line: { earned: { start: 0.5, rate: 0.1 }, budget: 3 } }],
  [
    'penalties, biases, top-k and min-p',
    {
      body: {
        presence_penalty: 0.7,
        frequency_penalty: -0.4,
        repetition_penalty: 1.3,
        logit_bias: { '97': 2, '98': -3 },
        temperature: 0.8,
        top_k: 40,
        min_p: 0.001,
      },
      line: { budget: 6 },
    },
  ],
  [
    'a grammar',
    {
      body: {
        grammar: {
          type: 'json_schema',
          schema: '{"type":"object","properties":{"a":{"type":"string","maxLength":9}},"required":["a"]}',
        },
      },
      line: { budget: 4 },
    },
  ],
  [
    'a call that is forced, in the middle of it',
    {
      body: {
        max_tokens: 60,
        grammar: callGrammar('mistral', {
          functions: [{ name: 'f', arguments: { type: 'json_schema', schema: '{"enum":[{"a":"€"},{"a":"⚓"}]}' } }],
          forced: true,
          single: true,
        }),
      },
      line: { budget: 4 },
    },
  ],
  ['the least of tokens, and no end', { body: { min_tokens: 10, stop: ['a', '#'], ignore_eos: true } }],
  ['layers', { line: { mode: 'layers', floor: 0.1, opening, budget: 6 } }],
  ['the safety expert alone', { line: { action: 'safety_only' } }],
  ['no account', { line: { ceiling: 0 } }],
  ['greedy', { body: { temperature: 0 }, line: { budget: 5 } }],
];

describe('an answer goes on at another backend from every position as if nothing had happened', () => {
  test.each(cases)('%s', async (_what, { body: changes, line, script }) => {
    const body = generateRequest({ max_tokens: 24, ...changes });
    const edit = (directive: Directive) => ({ ...directive, line: { ...OPEN_LINE, ...line } });
    const [a, b] = await Promise.all(['b1', 'b2'].map((backendId) => serve({ script: noise, backendId, ...script })));
    const whole = await ask(a!.url, body, { edit });
    const receipt = await verifyReceipt(endOf(whole.frames).receipt, jwks());
    const count = tokensOf(whole.frames).length;
    expect(count).toBeGreaterThan(5);
    // Some of these seams cut characters.
    if (changes?.stop) expect(tokensOf(whole.frames).some(({ text }) => text === '')).toBe(true);
    for (let position = 1; position <= count; position++) {
      const account = await accountOf([{ ...whole, count: position }]);
      const rest = await goOn(b!.url, body, account, whole.directive);
      expect(startOf(rest.frames)).toEqual({ ...startOf(whole.frames), backend: 'b2' });
      const before = tokensOf(whole.frames).slice(0, position);
      expect(essence([...before, ...rest.frames])).toEqual(essence(whole.frames));
      expect(await verifyReceipt(endOf(rest.frames).receipt, jwks())).toEqual({
        ...receipt,
        backend: 'b2',
        directive: rest.directive.id,
        usage: endOf(rest.frames).usage,
        parts: [
          { backend: 'b1', directive: whole.directive.id, from: 0, to: position, spent: before.at(-1)!.spent },
          { backend: 'b2', directive: rest.directive.id, from: position, to: count, spent: receipt.spent },
        ],
      });
    }
  });

  test('a line that a second look has tightened, without another look', async () => {
    const readChat: EncodePrompt = () => ({
      promptIds: [7, 90, 130, 130, 140, 130, 70],
      rowPrompts: {},
      looked: [{ from: 2, to: 6, last: 6 }],
    });
    const engine = (blind: boolean) =>
      startLocalEngine({
        ...looked,
        probe: blind ? null : looked.probe,
        experts: new ScriptedExperts(noise, {
          vocabSize: SCRIPTED_VOCAB,
          states: (_, ids) => [ids.at(-1)! - 100],
        }),
        limits: DEFAULT_LIMITS,
        info: {
          model: 'scripted',
          contextLength: 96,
          maxTokenBytes: 1,
          digest: '0'.repeat(64),
          experts: SCRIPTED_EXPERTS,
          provider: null,
        },
      });
    const body = generateRequest({ max_tokens: 14 });
    const edit = (directive: Directive) => ({ ...directive, second_look: { base: 0, rules: RULES } });
    const a = await serve({ engine: await engine(false), encodePrompt: readChat });
    const b = await serve({ engine: await engine(true), encodePrompt: readChat, backendId: 'b2' });
    const whole = await ask(a.url, body, { edit });
    expect(endOf(whole.frames).second_look).toMatchObject({ tightened: true, because: 'violence' });
    const count = tokensOf(whole.frames).length;
    for (let position = 1; position <= count; position++) {
      const account = await accountOf([{ ...whole, count: position }]);
      const rest = await goOn(b.url, body, account, whole.directive);
      expect(essence([...tokensOf(whole.frames).slice(0, position), ...rest.frames])).toEqual(essence(whole.frames));
      const { line, second_look } = await verifyReceipt(endOf(rest.frames).receipt, jwks());
      expect(line).toMatchObject({ floor: 0.8, budget: 3 });
      expect(second_look).toEqual(endOf(whole.frames).second_look);
    }
  });

  test('three backends, one after the other, at every two positions', async () => {
    const body = generateRequest({ max_tokens: 9, stop: ['##'] });
    const edit = (directive: Directive) => ({ ...directive, line: { ...OPEN_LINE, budget: 4 } });
    const urls: string[] = [];
    for (const backendId of ['b1', 'b2', 'b3']) urls.push((await serve({ script: noise, backendId })).url);
    const whole = await ask(urls[0]!, body, { edit });
    const resumedAt = async (url: string) =>
      (await (await fetch(`${url}/metrics`)).text()).match(/request_resumed_total\{[^}]*\} (\d+)\n/)?.[1];
    const all = tokensOf(whole.frames);
    for (let first = 1; first <= all.length; first++) {
      for (let second = first; second <= all.length; second++) {
        const one = { ...whole, count: first };
        const next = await goOn(urls[1]!, body, await accountOf([one]), whole.directive);
        const two = { ...next, count: second - first };
        const last = await goOn(urls[2]!, body, await accountOf([one, two]), whole.directive);
        const frames = [...all.slice(0, first), ...tokensOf(next.frames).slice(0, second - first), ...last.frames];
        expect(essence(frames)).toEqual(essence(whole.frames));
        const { parts, answer_digest } = await verifyReceipt(endOf(last.frames).receipt, jwks());
        // A backend that drew nothing has no part, unless it signs.
        const drew = parts.map(({ backend, from, to }) => [backend, from, to]);
        expect(drew).toEqual([
          ['b1', 0, first],
          ...(second > first ? [['b2', first, second]] : []),
          ['b3', second, all.length],
        ]);
        expect(answer_digest).toBe(await sha256Hex(textOf(whole.frames)));
      }
    }
    const pairs = String((all.length * (all.length + 1)) / 2);
    expect(await resumedAt(urls[1]!)).toBe(pairs);
    expect(await resumedAt(urls[2]!)).toBe(pairs);
  });
});

describe('while the deployment changes its secrets', () => {
  const body = generateRequest({ max_tokens: 12 });
  const NEXT = {
    directiveSecret: 'the next directive secret, 32 bytes',
    drawSecret: 'the next draw secret of 32 bytes',
  };

  test('an answer goes on under those that it began with', async () => {
    const old = await serve({ script: noise });
    const former = { oldDirectiveSecrets: [SECRET], oldDrawSecrets: [DRAW_SECRET] };
    const next = await serve({ script: noise, backendId: 'b2', ...NEXT, ...former });
    const whole = await ask(old.url, body);
    const { draws } = startOf(whole.frames);
    // A new answer begins under the next draw secret.
    expect(startOf((await ask(next.url, body)).frames).draws).not.toBe(draws);
    for (const count of [1, 5, 11]) {
      const rest = await goOn(next.url, body, await accountOf([{ ...whole, count }]), whole.directive);
      expect(startOf(rest.frames)).toMatchObject({ backend: 'b2', draws });
      expect(essence([...tokensOf(whole.frames).slice(0, count), ...rest.frames])).toEqual(essence(whole.frames));
      expect(await verifyReceipt(endOf(rest.frames).receipt, jwks())).toMatchObject({ draws, backend: 'b2' });
      // The edge still has the old directive secret, and can check each token of both parts.
      const account = await accountOf([
        { ...whole, count },
        { ...rest, count: tokensOf(rest.frames).length },
      ]);
      expect(account.position).toBe(tokensOf(whole.frames).length);
    }
  });

  test('a backend without the old draw secret does not go on', async () => {
    const old = await serve({ script: noise });
    const whole = await ask(old.url, body);
    const account = await accountOf([{ ...whole, count: 5 }]);
    const { url } = await serve({ script: noise, ...NEXT, oldDirectiveSecrets: [SECRET] });
    await expect(goOn(url, body, account, whole.directive)).rejects.toThrow('model_not_found');
  });
});

describe('refuses to go on', () => {
  const body = generateRequest({ max_tokens: 12 });
  const line = { ...OPEN_LINE, floor: 0.3, budget: 4 };

  /** Answers two requests. `begin` gives what is known of them after so many tokens. */
  async function begun() {
    const { url, engine } = await serve({ script: noise });
    const edit = (directive: Directive) => ({ ...directive, line });
    const whole = await ask(url, body, { edit });
    const other = await ask(url, body, { edit: (directive) => ({ ...edit(directive), request: 'req_2' }) });
    const begin = async (position: number): Promise<Attempt> => {
      const account = await accountOf([{ ...whole, count: position }]);
      const others = (await (await accountOf([{ ...other, count: position }])).resume())!;
      return { directive: whole.directive, ids: account.ids(), state: (await account.resume())!, others, body };
    };
    return { url, engine, begin };
  }

  type Attempt = { directive: Directive; ids: number[]; state: ResumeState; others: ResumeState; body: GenerateBody };
  const digestOf = (ids: readonly number[]) => sha256Hex(new IdBytes(ids).bytes());
  const withIds = async (attempt: Attempt, ids: number[]): Promise<Attempt> => {
    const state = { ...attempt.state, position: ids.length, ids_digest: await digestOf(ids) };
    return { ...attempt, ids, state };
  };
  const inState = (change: (state: ResumeState) => Partial<ResumeState>) => (attempt: Attempt) =>
    Promise.resolve({ ...attempt, state: { ...attempt.state, ...change(attempt.state) } });
  const inDirective = (change: (directive: Directive) => Partial<Directive>) => (attempt: Attempt) =>
    Promise.resolve({ ...attempt, directive: { ...attempt.directive, ...change(attempt.directive) } });

  const part = { backend: 'b0', directive: crypto.randomUUID(), from: 0, to: 1, spent: 0 };
  const forgeries: Record<string, (attempt: Attempt, x: number) => Promise<Attempt>> = {
    'fewer tokens': (attempt) => withIds(attempt, attempt.ids.slice(0, -1)),
    'one more token': (attempt, x) => withIds(attempt, [...attempt.ids, x]),
    'another token': (attempt, x) =>
      withIds(attempt, attempt.ids.with(-1, (attempt.ids.at(-1)! + 1 + (x % 200)) % 256)),
    'tokens in another order': (attempt) => withIds(attempt, [...attempt.ids.slice(1), attempt.ids[0]! ^ 1]),
    'ids that are not the directive’s': async (attempt, x) => ({ ...attempt, ids: [...attempt.ids, x] }),
    'less spent': (attempt, x) => inState(({ spent }) => ({ spent: spent! - (1 + x) / 1000 }))(attempt),
    'nothing spent': inState(({ spent }) => ({ spent: spent === 0 ? 1 : 0 })),
    'no account': inState(() => ({ spent: null })),
    'other weights': inState(({ weights }) => ({ weights: { ...weights, min: weights.min + 1e-9 } })),
    'other runs': inState(({ ran }) => ({ ran: { ...ran, layers: 1 } })),
    'another beginning': inState(() => ({ from: 1 })),
    'more parts': inState(() => ({ parts: [part] })),
    'another backend': inState(() => ({ backend: 'b9' })),
    'another directive': inState(() => ({ directive: crypto.randomUUID() })),
    'another MAC': inState(({ mac }) => ({ mac: mac.startsWith('A') ? `B${mac.slice(1)}` : `A${mac.slice(1)}` })),
    'the state of another request': async (attempt) => ({ ...attempt, state: attempt.others }),
    'another request': inDirective(() => ({ request: 'req_3' })),
    'another tenant': inDirective(() => ({ tenant: 'umbrella' })),
    'another key': inDirective(() => ({ key: 'second' })),
    'another policy': inDirective(() => ({ policy: 'sha256:def' })),
    'another classifier': inDirective(() => ({ classifier: 'c2' })),
    'a looser line': inDirective(() => ({ line: { ...line, floor: 0.1 } })),
    'another budget': (attempt, x) => inDirective(() => ({ line: { ...line, budget: 5 + x } }))(attempt),
    'no state in the directive': inDirective(() => ({})),
    'another body': async (attempt, x) => ({ ...attempt, body: { ...attempt.body, seed: 2 + x } }),
  };

  test('a state that was forged, altered or replayed', async () => {
    const { url, engine, begin } = await begun();
    const send = (what: Attempt, state: ResumeState | null) =>
      call(url, what.body, {
        edit: ({ digest }) => ({ ...what.directive, digest, id: crypto.randomUUID(), resume: state }),
        ids: what.ids,
      });
    const names = fc.constantFrom(...Object.keys(forgeries));
    await fc.assert(
      fc.asyncProperty(names, fc.integer({ min: 2, max: 11 }), fc.nat(250), async (name, position, x) => {
        const attempt = await forgeries[name]!(await begin(position), x);
        const response = await send(attempt, name === 'no state in the directive' ? null : attempt.state);
        expect(await errorOf(response)).toMatchObject({ status: 401, code: 'directive_invalid' });
        expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
      }),
      { numRuns: 300 },
    );
    // The true one is continued, as often as anyone likes.
    for (let position = 2; position < 12; position++) {
      const honest = await begin(position);
      expect((await allFrames(await send(honest, honest.state))).at(-1)!.type).toBe('end');
    }
  });

  test('with other weights or another draw secret, so that another backend may be asked', async () => {
    const { ids, directive, state } = await (await begun()).begin(5);
    const others: Scripted[] = [
      { digest: '1'.repeat(64) },
      { drawSecret: 'yet another secret of 32 bytes, for draws' },
    ];
    for (const other of others) {
      const { url } = await serve({ script: noise, ...other });
      const edit = () => ({ ...directive, id: crypto.randomUUID(), resume: state });
      const response = await call(url, body, { edit, ids });
      expect(await errorOf(response)).toMatchObject({ status: 404, code: 'model_not_found' });
    }
  });

  test('a state without its tokens, and tokens that are not a list of ids', async () => {
    const { url, begin } = await begun();
    const { directive, state } = await begin(5);
    const edit = () => ({ ...directive, id: crypto.randomUUID(), resume: state });
    expect(await errorOf(await call(url, body, { edit }))).toMatchObject({ status: 401, code: 'directive_invalid' });
    for (const last of ['[1.5]', '[-1]', '["a"]', '[1,]', '[[1]]']) {
      const response = await call(url, `${JSON.stringify(body)}\n${last}`, { edit });
      expect(await errorOf(response)).toMatchObject({ status: 400, code: 'invalid_request' });
    }
  });
});

import { describe, expect, test } from 'vitest';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { lineAfterLook, lookCategories, type SecondLook } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { digestOfSignedLine } from '#shared/protocol/signed-line.ts';
import { createReceiptKey } from '../testing/receipt-key.ts';
import { checkReceipt } from './check-receipt.ts';

const key = await createReceiptKey('r1');

/** Whether a receipt of two tokens under this line is taken if it says that these experts ran. */
async function takes({
  line,
  ran,
  spent = null,
  secondLook = null,
  found = null,
  held,
  ended = {},
  probe = null,
}: {
  line: Partial<Line>;
  ran: Ran;
  spent?: number | null;
  /** What the directive asks, what the receipt reports, and the line that it says was held. */
  secondLook?: SecondLook | null;
  found?: LookReport | null;
  held?: Line;
  /** The probe that the edge has heard of. */
  probe?: string | null;
  ended?: { finish_reason?: FinishReason; tokens?: number; min?: number; text?: string };
}) {
  const { finish_reason = 'stop', tokens = 2, min = 0, text = tokens === 0 ? '' : 'Hi' } = ended;

  const usage = { prompt_tokens: 5, completion_tokens: tokens, total_tokens: 5 + tokens };
  const shared = {
    request: 'req_1',
    tenant: 'acme',
    key: 'main',
    policy: '0123456789abcdef',
    classifier: 'c1',
    model: 'm',
    line: { ...OPEN_LINE, ...line },
  };
  const weights = { min, mean: Math.max(min, 0.2), max: Math.max(min, 0.4) };
  const end = { finish_reason, usage, weights, spent, ran, second_look: found };
  const receipt: Receipt = {
    ...shared,
    ...end,
    ...(held && { line: held }),
    directive: 'd1',
    signed_line: await digestOfSignedLine({ line: shared.line, second_look: secondLook }),
    bundle: 'b',
    backend: 'backend-0',
    parts: [],
    draws: '01234567',
    experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
    top_k: null,
    choice: 0,
    choices: 1,
    seed: 7,
    max_tokens: null,
    sampling: PLAIN_SAMPLING,
    prompt_digest: 'p',
    answer_digest: await sha256Hex(text),
  };
  const check = checkReceipt(
    {
      text,
      account: { position: tokens, soFar: null, secondLook: null, parts: () => [] },
      end: { type: 'end', ...end, receipt: await signReceipt(receipt, key) },
    },
    {
      jwks: key.jwks,
      directive: { ...shared, id: 'd1', digest: 'p', second_look: secondLook, resume: null },
      start: {
        type: 'start',
        id: 'a1',
        model: 'm',
        backend: 'backend-0',
        bundle: 'b',
        draws: '01234567',
        prompt_tokens: 5,
      },
      asked: { seed: 7, max_tokens: null, temperature: 1, top_p: 1 },
      probe,
    },
  );
  return check.then(
    () => true,
    (error: { detail?: unknown }) => error.detail,
  );
}

describe('an answer without the safety expert', () => {
  const alone = { helpfulness: 2 };

  test('is taken under a line that does not need it', async () => {
    expect(await takes({ line: {}, ran: alone })).toBe(true);
    expect(await takes({ line: { opening: { tokens: 0, floor: 0.4 } }, ran: alone })).toBe(true);
    expect(await takes({ line: { opening: { tokens: 100, floor: 0 } }, ran: alone })).toBe(true);
  });

  test.each<[string, Partial<Line>]>([
    ['an opening floor', { opening: { tokens: 100, floor: 0.4 } }],
    ['a budget', { budget: 2 }],
    ['an earned budget', { earned: { start: 1, rate: 1 } }],
    ['the mode layers', { mode: 'layers' }],
    ['safety_only', { action: 'safety_only' }],
  ])('is not taken under %s', async (_, line) => {
    expect(await takes({ line, ran: alone, spent: 0 })).toEqual({ what: 'ran' });
    expect(await takes({ line, ran: { safety: 1, helpfulness: 2 }, spent: 0 })).toEqual({ what: 'ran' });
    expect(await takes({ line, ran: { safety: 2, helpfulness: 2 }, spent: 0 })).toBe(true);
  });
});

test('text that no token carries is not taken', async () => {
  const ended = { tokens: 0, text: 'Hi' };
  expect(await takes({ line: {}, ran: {}, ended })).toEqual({ what: 'text' });
});

describe('the receipt of an answer after a second look', () => {
  const ran = { safety: 2, helpfulness: 2 };
  const line = { floor: 0.1, budget: 9 };
  const rule = (action: 'mix' | 'refuse') =>
    SignalRules.parse({ violence: { floor: 0.8, budget: 3, action, ramp: { from: 0.2, full: 0.9 } } });
  const look = (probability: number, action: 'mix' | 'refuse' = 'mix') => {
    const secondLook = { base: 0.1, rules: rule(action) };
    const categories = lookCategories(JUDGEMENTS.map((name) => (name === 'violence' ? probability : 0)));
    const after = lineAfterLook({ ...OPEN_LINE, ...line }, secondLook, categories);
    const { tightened, because } = after;
    const found: LookReport = { version: 'v1', categories, tightened, because };
    return { secondLook, found, held: after.line };
  };

  test('is taken if it has the line that follows from what was found', async () => {
    expect(await takes({ line, ran, spent: 2, ...look(0.1), ended: { min: 0.1 } })).toBe(true);
    expect(await takes({ line, ran, spent: 2, ...look(1), ended: { min: 0.8 } })).toBe(true);
  });

  test('is not taken without the look, or with one that nobody asked for', async () => {
    const { secondLook, found, held } = look(1);
    expect(await takes({ line, ran, spent: 2, secondLook, ended: { min: 0.8 } })).toEqual({ what: 'second_look' });
    expect(await takes({ line, ran, spent: 2, found, held, ended: { min: 0.8 } })).toEqual({ what: 'line' });
    const cut = { ...found, categories: found.categories.toReversed() };
    expect(await takes({ line, ran, spent: 2, secondLook, found: cut, held })).toEqual({ what: 'second_look' });
  });

  test('is taken only from the probe that the edge has heard of, if it has', async () => {
    const looked = { line, ran, spent: 2, ...look(0.1), ended: { min: 0.1 } };
    expect(await takes({ ...looked, probe: 'v1' })).toBe(true);
    expect(await takes({ ...looked, probe: 'v2' })).toEqual({ what: 'second_look' });
  });

  test('is not taken under a looser line, nor under a tighter one that nothing explains', async () => {
    const strict = look(1);
    const min = 0.8;
    expect(await takes({ line, ran, spent: 2, ...strict, held: { ...OPEN_LINE, ...line } })).toEqual({ what: 'line' });
    expect(await takes({ line, ran, spent: 2, ...look(0.1), held: strict.held, ended: { min } })).toEqual({
      what: 'line',
    });
    const found = { ...strict.found, tightened: false, because: null };
    expect(await takes({ line, ran, spent: 2, ...strict, found, ended: { min } })).toEqual({ what: 'second_look' });
  });

  test('holds the answer to the tightened floor and budget', async () => {
    expect(await takes({ line, ran, spent: 2, ...look(1), ended: { min: 0.5 } })).toEqual({ what: 'weights' });
    expect(await takes({ line, ran, spent: 5, ...look(1), ended: { min: 0.8 } })).toEqual({ what: 'spent' });
  });

  test('may say that the answer was refused only if it was, and then nothing was drawn', async () => {
    const refused = { ended: { finish_reason: 'content_filter' as const, tokens: 0, min: 1 }, ran: {}, spent: 0 };
    expect(await takes({ line, ...refused, ...look(1, 'refuse') })).toBe(true);
    expect(await takes({ line, ...refused, ...look(1) })).toEqual({ what: 'refusal' });
    expect(await takes({ line, ...refused })).toEqual({ what: 'refusal' });
    const spoken = { ...refused, ended: { ...refused.ended, text: 'Hi' } };
    expect(await takes({ line, ...spoken, ...look(1, 'refuse') })).toEqual({ what: 'text' });
    const drawn = { ended: { min: 1 }, ran: { safety: 2 }, spent: 0 };
    expect(await takes({ line, ...drawn, ...look(1, 'refuse') })).toEqual({ what: 'refusal' });
    const cut = { ...drawn, ended: { ...drawn.ended, finish_reason: 'content_filter' as const } };
    expect(await takes({ line, ...cut, ...look(1, 'refuse') })).toEqual({ what: 'refusal' });
  });
});

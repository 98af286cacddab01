import { describe, expect, test } from 'vitest';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { createReceiptKey } from '../testing/scripted-backend.ts';
import { checkReceipt } from './check-receipt.ts';

const key = await createReceiptKey('r1');
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };

/** Whether a receipt of two tokens under this line is taken if it says that these experts ran. */
async function takes({ line, ran, spent = null }: { line: Partial<Line>; ran: Ran; spent?: number | null }) {
  const shared = {
    request: 'req_1',
    tenant: 'acme',
    key: 'main',
    policy: '0123456789abcdef',
    classifier: 'c1',
    model: 'm',
    line: { ...OPEN_LINE, ...line },
  };
  const weights = { min: 0, mean: 0.2, max: 0.4 };
  const end = { finish_reason: 'stop' as const, usage, weights, spent, ran };
  const receipt: Receipt = {
    ...shared,
    ...end,
    directive: 'd1',
    bundle: 'b',
    backend: 'backend-0',
    draws: '01234567',
    experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
    top_k: null,
    choice: 0,
    choices: 1,
    seed: 7,
    prompt_digest: 'p',
    answer_digest: await sha256Hex('Hi'),
  };
  const check = checkReceipt(
    { text: 'Hi', tokens: 2, end: { type: 'end', ...end, receipt: await signReceipt(receipt, key) } },
    {
      jwks: key.jwks,
      directive: { ...shared, id: 'd1', digest: 'p', second_look: null, resume: null },
      start: {
        type: 'start',
        id: 'a1',
        model: 'm',
        backend: 'backend-0',
        bundle: 'b',
        draws: '01234567',
        prompt_tokens: 5,
      },
      seed: 7,
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

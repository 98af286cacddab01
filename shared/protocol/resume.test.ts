import { createHash, createHmac, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addWeight, NO_WEIGHTS, SPENT_UNBOUNDED } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { AnswerAccount } from './answer-account.ts';
import type { Directive } from './directive.ts';
import { type Account, type AnswerContext, contextText, deriveFrameKey, MacBytes } from './frame-mac.ts';
import type { TokenFrame } from './generate.ts';
import { IdBytes } from './ids-digest.ts';
import { importFrameKey, isVouched, macBytesOf, resumeBody, splitBody, verifyResume } from './resume.ts';
import { sha256Hex } from './sha256.ts';

const SECRET = new TextEncoder().encode('a secret of at least 32 bytes, for tests');
const frameKey = await deriveFrameKey(SECRET);
const key = await importFrameKey(frameKey);

const directive: Directive = {
  id: '11111111-1111-4111-8111-111111111111',
  request: 'req_1',
  tenant: 'acme',
  key: 'main',
  policy: 'p1',
  classifier: 'c1',
  digest: '0'.repeat(64),
  line: { ...OPEN_LINE, budget: 4 },
  second_look: null,
  resume: null,
};
const start = { bundle: 'b', draws: '01234567', backend: 'backend-0' };
const { resume: _, ...signed } = directive;
const context: AnswerContext = { directive: signed, ...start, from: 0, parts: [], choice: 0, secondLook: null };

/** The MAC as the header of frame-mac.ts describes it, the obvious way. */
function slowMac(
  { position, spent, weights, ran }: Omit<Account, 'ids_digest'>,
  ids: readonly number[],
  choice = 0,
): string {
  const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest();
  const uint = (x: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(x);
    return bytes;
  };
  const double = (x: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(x);
    return bytes;
  };
  const little = (x: number) => Buffer.from(uint(x)).reverse();
  return createHmac('sha256', frameKey)
    .update(sha256(contextText({ ...context, choice })))
    .update(uint(position))
    .update(Buffer.concat([spent ?? SPENT_UNBOUNDED, weights.min, weights.mean, weights.max].map(double)))
    .update(Buffer.concat([ran.safety, ran.helpfulness, ran.layers].map((count) => uint(count ?? 2 ** 32 - 1))))
    .update(sha256(Buffer.concat(ids.map(little))))
    .digest('base64url');
}

const ids = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 300 });
const share = fc.double({ min: 0, max: 1, noNaN: true }).map((x) => x + 0);
const count = fc.option(fc.nat(9), { nil: undefined });
const accounts = fc.record({
  position: fc.integer({ min: 1, max: 1e6 }),
  spent: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0)),
  weights: fc.record({ min: share, mean: share, max: share }),
  ran: fc.record({ safety: count, helpfulness: count, layers: count }).map((ran) => JSON.parse(JSON.stringify(ran))),
});

describe('the MAC', () => {
  test('has a key of its own, derived from the directive secret', () => {
    const label = 'plimsoll-frame/1 key';
    expect([...frameKey]).toEqual([...new Uint8Array(hkdfSync('sha256', SECRET, new Uint8Array(), label, 32))]);
  });

  test('is the one that the header describes', async () => {
    const bytes = await macBytesOf(context);
    await fc.assert(
      fc.asyncProperty(accounts, ids, async (account, list) => {
        const mac = slowMac(account, list);
        expect(await isVouched(account, { mac, ids: new IdBytes(list), context: bytes, key })).toBe(true);
      }),
    );
  });

  test('does not tell a negative zero from zero, because JSON cannot', () => {
    const bytes = (x: number) =>
      new MacBytes(new Uint8Array(32)).of(
        { position: 1, spent: x, weights: { min: x, mean: x, max: x }, ran: {} },
        new Uint8Array(32),
      );
    expect(bytes(-0)).toEqual(bytes(0));
  });
});

test('ids as bytes: as many as there are, and cut', () => {
  fc.assert(
    fc.property(ids, fc.nat(300), (list, length) => {
      const bytes = new IdBytes(list);
      expect(bytes.ids()).toEqual(list);
      expect(bytes.bytes()).toHaveLength(4 * list.length);
      bytes.cut(length);
      bytes.push(7);
      expect(bytes.ids()).toEqual([...list.slice(0, length), 7]);
    }),
  );
});

test('a body and its ids come apart again, and a body without ids stays as it is', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), ids, fc.boolean(), (request, list, isPretty) => {
      const body = JSON.stringify(request, null, isPretty ? 2 : undefined);
      const text = new TextEncoder().encode(resumeBody(body, list));
      const parted = splitBody(text);
      expect(new TextDecoder().decode(parted.request)).toBe(body);
      expect(parted.ids).toEqual(list);
      const alone = new TextEncoder().encode(body);
      expect(splitBody(alone)).toEqual({ request: alone, ids: null });
    }),
  );
});

describe('an account', () => {
  const words = [97, 8364, 35, 35, 0, 98];

  /** Tokens as a backend sends them, with marks where `isMarked` says so. */
  function tokens(isMarked: (i: number) => boolean, choice = 0): TokenFrame[] {
    let weights = NO_WEIGHTS;
    return words.map((id, i) => {
      const [weight, spent] = [0.1 * i, 0.25 * i];
      weights = addWeight(weights, weight);
      const ran = { safety: i + 1 };
      const mac = slowMac({ position: i + 1, spent, weights, ran }, words.slice(0, i + 1), choice);
      const token = { type: 'token' as const, id, text: '', weight, floor: 0, lp_s: null, lp_h: null, lp: null, spent };
      return { ...token, ...(isMarked(i) && { mark: { mac, ran } }) };
    });
  }

  test('counts tokens once they are vouched for, one mark for all before', async () => {
    const account = new AnswerAccount(key);
    await account.begin({ directive, start });
    const all = tokens((i) => i === 2 || i === 4);
    for (const token of all) account.push(token);
    expect(await account.vouch()).toEqual(all.slice(0, 5));
    expect([account.position, account.isBehind, account.ids()]).toEqual([5, true, words.slice(0, 5)]);
    expect(await account.vouch()).toEqual([]);
    expect(await account.resume()).toMatchObject({
      ...start,
      directive: directive.id,
      from: 0,
      parts: [],
      position: 5,
      ids_digest: await sha256Hex(new IdBytes(words.slice(0, 5)).bytes()),
      spent: 1,
      ran: { safety: 5 },
      mac: all[4]!.mark!.mac,
    });
  });

  test('stays as it was if a mark is wrong', async () => {
    const account = new AnswerAccount(key);
    await account.begin({ directive, start });
    const all = tokens(() => true);
    for (const token of all.slice(0, 2)) account.push(token);
    await account.vouch();
    const before = await account.resume();
    for (const wrong of [
      { ...all[2]!, spent: 0.4 },
      { ...all[2]!, weight: 0.3 },
      { ...all[2]!, id: 98 },
      { ...all[2]!, mark: { ...all[2]!.mark!, ran: { safety: 3, helpfulness: 1 } } },
      { ...all[2]!, mark: all[1]!.mark! },
      all[3]!,
    ]) {
      account.push(wrong);
      expect(await account.vouch()).toBeNull();
      expect(await account.resume()).toEqual(before);
    }
    account.push(all[2]!);
    expect(await account.vouch()).toEqual([all[2]]);
  });

  test('is of one answer of the request, and goes on as no other', async () => {
    const account = new AnswerAccount(key, { choice: 2 });
    await account.begin({ directive, start });
    for (const token of tokens(() => true)) account.push(token);
    expect(await account.vouch()).toBeNull();
    for (const token of tokens(() => true, 2)) account.push(token);
    expect(await account.vouch()).toHaveLength(words.length);
    const resume = (await account.resume())!;
    expect(resume).toMatchObject({ choice: 2 });
    const { bundle, draws } = start;
    const about = { ids: words, bundle, draws, key };
    expect(await verifyResume({ ...directive, resume }, about)).toMatchObject({ state: { choice: 2 } });
    const { choice: _, ...first } = resume;
    for (const other of [first, { ...resume, choice: 1 }]) {
      await expect(verifyResume({ ...directive, resume: other }, about)).rejects.toMatchObject({
        code: 'directive_invalid',
      });
    }
  });

  test('of a backend that drew nothing has no part of it, unless it signs the end', async () => {
    const account = new AnswerAccount(key);
    await account.begin({ directive, start });
    expect([await account.resume(), account.parts()]).toEqual([null, []]);
    for (const token of tokens(() => true)) account.push(token);
    await account.vouch();
    const first = { backend: 'backend-0', directive: directive.id, from: 0, to: 6, spent: 1.25 };
    for (const backend of ['backend-1', 'backend-2']) {
      const id = crypto.randomUUID();
      const before = await account.resume();
      await account.begin({ directive: { ...directive, id, resume: before }, start: { ...start, backend } });
      expect(await account.resume()).toEqual(before);
      expect(account.parts()).toEqual([first, { backend, directive: id, from: 6, to: 6, spent: 1.25 }]);
    }
  });
});

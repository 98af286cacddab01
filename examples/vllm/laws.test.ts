import { createHash } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { checkAnswer } from './laws.mjs';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const TOP_K = 2;
const FLOOR = 0.3;
const BUDGET = 4;
const request = { model: 'engine-check' };
/** What the safety expert says of the next token, everywhere. */
const SAFETY = new Map([
  [1, Math.log(0.6)],
  [2, Math.log(0.4)],
]);

let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let jwks: object;
beforeAll(async () => {
  keys = await generateKeyPair('Ed25519', { extractable: true });
  jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'test' }] };
});

/** Three tokens under a line: the first two more likely than the safety expert has them. */
async function answer({ line = {}, token = {} }: { line?: object; token?: object } = {}) {
  const lp = Math.log(0.7);
  const each = Math.log(0.7 / 0.6);
  const common = { id: 1, weight: 0.5, lp, lp_s: Math.log(0.6) };
  const tokens = [
    { ...common, floor: 0.5, spent: each },
    { ...common, floor: FLOOR, spent: 2 * each },
    { ...common, floor: FLOOR, weight: 1, lp: common.lp_s, spent: 2 * each, ...token },
  ];
  const receipt = await new SignJWT({
    ...{ answer_digest: sha256('yes'), prompt_digest: sha256(JSON.stringify(request)), top_k: TOP_K },
    line: { floor: FLOOR, opening: { tokens: 1, floor: 0.5 }, budget: BUDGET, ...line },
    spent: tokens.at(-1)!.spent,
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'plimsoll-receipt+jwt', kid: 'test' })
    .setIssuer('plimsoll-backend')
    .sign(keys.privateKey);
  const choices = [{ message: { content: 'yes' }, finish_reason: 'stop' }];
  return { choices, plimsoll: { receipt, tokens } };
}

const check = async (changes: Parameters<typeof answer>[0]) => {
  const askSafety = async () => SAFETY;
  const asked = { request, jwks, floor: FLOOR, budget: BUDGET, topK: TOP_K, askSafety };
  return (await checkAnswer(await answer(changes), asked)).problems;
};

test('an answer that keeps the laws has no problems', async () => {
  expect(await check({})).toEqual([]);
  expect(await check({ line: { budget: 3, floor: FLOOR } })).toEqual([]);
});

test.each<[string, Parameters<typeof answer>[0], RegExp]>([
  ['a receipt without a budget', { line: { budget: null } }, /budget of null, wanted 4/],
  ['a receipt with a larger budget', { line: { budget: 5 } }, /budget of 5, wanted 4/],
  ['an account without an end', { token: { spent: null } }, /null nats were spent/],
  ['a receipt with a lower floor', { line: { floor: 0.1 } }, /a floor of 0\.1, wanted 0\.3/],
  ['a receipt without a floor', { line: { floor: null } }, /a floor of null, wanted 0\.3/],
  ['a floor in the trace below the receipt’s', { token: { floor: 0.2 } }, /token 2 has the floor 0\.2 below/],
  [
    'an opening that the trace does not have',
    { line: { opening: { tokens: 2, floor: 0.5 } } },
    /token 1 has the floor/,
  ],
  ['a weight below the floor', { token: { weight: 0.2 } }, /token 2 has the weight 0\.2 below/],
])('%s does not pass', async (_, changes, problem) => {
  expect(await check(changes)).toContainEqual(expect.stringMatching(problem));
});

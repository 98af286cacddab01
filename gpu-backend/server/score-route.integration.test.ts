/** `POST /v1/score` of a whole backend, from its folder on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { ScoreAnswer, type ScoreRequest, scoreKey, signScoreOrder } from '#shared/protocol/score.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { openBundle } from '../model/load-bundle.ts';
import { readScoreHeads } from '../model/score-heads.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { openHeadScorer } from '../scores/score-with-heads.ts';
import { tinyHeads } from '../scores/testing/tiny-heads.ts';
import { type Backend, startBackend } from './start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';

let root: string;
let judge: Backend;
let plain: Backend;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'score-backend-'));
  const { receiptPrivateJwk } = await receiptKeys();
  const serve = async (name: string, parts: Parameters<typeof writeBundle>[1]) => {
    const bundle = join(root, name);
    await writeBundle(bundle, parts, { dtype: 'f32' });
    const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
    return startBackend({ bundle, port: 0, threads: 1, ...secrets }, { log: () => {} });
  };
  judge = await serve('judge', { ...tinyBundle(), scores: tinyHeads() });
  plain = await serve('plain', tinyBundle());
});
afterAll(async () => {
  await Promise.all([judge.close(), plain.close()]);
  await rm(root, { recursive: true });
});

const asked: ScoreRequest = { model: 'tiny', messages: [{ role: 'user', content: 'the tin' }], answer: 'in there' };

async function score(
  { url }: Backend,
  {
    body = asked,
    secret = SECRET,
    signed,
    id = crypto.randomUUID(),
    order = true,
  }: { body?: ScoreRequest; secret?: string; signed?: ScoreRequest; id?: string; order?: boolean } = {},
): Promise<Response> {
  const digest = await sha256Hex(JSON.stringify(signed ?? body));
  const token = await signScoreOrder(
    { id, request: 'req_1', tenant: 'acme', digest },
    await scoreKey(directiveKey(secret)),
  );
  const headers = order ? { authorization: `Bearer ${token}` } : {};
  return fetch(`${url}/v1/score`, { method: 'POST', headers, body: JSON.stringify(body) });
}
const codeOf = async (answer: Response) => {
  const { error } = (await answer.json()) as ErrorBody;
  return [answer.status, error.code];
};

test('gives what the bundle’s heads make of the whole conversation, end token included', async () => {
  const answer = ScoreAnswer.parse(await (await score(judge)).json());
  const dir = join(root, 'judge');
  const bundle = await openBundle(dir);
  const scorer = await openHeadScorer(bundle, (await readScoreHeads(dir, bundle.manifest, bundle.config))!, {
    threads: 1,
  });
  const { renderChat, tokenizer } = bundle;
  const ids = [...renderChat(asked.messages), ...tokenizer.encode(asked.answer), 5];
  expect(tokenizer.specials.get('<|end|>')).toBe(5);
  expect(answer).toEqual({ model: 'tiny', bundle: bundle.digest, ...(await scorer.score(ids)), tokens: ids.length });
  await scorer.dispose();
  const other = ScoreAnswer.parse(await (await score(judge, { body: { ...asked, answer: 'er' } })).json());
  expect(other.reward).not.toBe(answer.reward);
});

test('works only with a fresh order of the edge for this very body', async () => {
  expect(await codeOf(await score(judge, { order: false }))).toEqual([401, 'directive_invalid']);
  expect(await codeOf(await score(judge, { secret: `${SECRET}!` }))).toEqual([401, 'directive_invalid']);
  expect(await codeOf(await score(judge, { signed: { ...asked, answer: 'x' } }))).toEqual([401, 'directive_invalid']);
  const id = crypto.randomUUID();
  expect((await score(judge, { id })).status).toBe(200);
  expect(await codeOf(await score(judge, { id }))).toEqual([401, 'directive_invalid']);
});

test('says what it cannot do', async () => {
  expect(await codeOf(await score(plain))).toEqual([400, 'unsupported_value']);
  expect(await codeOf(await score(judge, { body: { ...asked, model: 'x' } }))).toEqual([404, 'model_not_found']);
  const long = { ...asked, answer: 'the tin '.repeat(60) };
  expect(await codeOf(await score(judge, { body: long }))).toEqual([400, 'context_length_exceeded']);
  const health = async ({ url }: Backend) =>
    ((await (await fetch(`${url}/healthz`)).json()) as { scores: boolean }).scores;
  expect([await health(judge), await health(plain)]).toEqual([true, false]);
});

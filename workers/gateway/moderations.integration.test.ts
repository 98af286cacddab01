/** The classifier alone, as the unchanged `openai` client sees it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

/** The names that openai-node and openai-python know. */
const OPENAI_NAMES = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
] as const;

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

test('shows every flag under the names that OpenAI’s clients know', async () => {
  const client = openaiClient(under.edge);
  for (const judgement of JUDGEMENTS) {
    const { results } = await client.moderations.create({ input: `[[${judgement}=0.9]]` });
    expect(results[0]!.flagged, judgement).toBe(true);
    const hits = OPENAI_NAMES.filter((name) => results[0]!.categories[name]);
    expect(hits, judgement).not.toEqual([]);
    for (const name of OPENAI_NAMES) {
      expect(results[0]!.category_scores[name]).toBeGreaterThanOrEqual(0);
      expect(results[0]!.category_applied_input_types[name]).toEqual(['text']);
    }
  }
  const { results } = await client.moderations.create({ model: 'omni-moderation-latest', input: '[[self_harm=0.9]]' });
  expect(results[0]!.categories['self-harm']).toBe(true);
  // `any_harm` is certain too, but that is no reason to flag `illicit` when the kind of harm is
  // known.
  expect(results[0]!.categories).toMatchObject({ any_harm: true, violence: false, illicit: false });
  const unknownKind = await client.moderations.create({
    model: 'omni-moderation-2024-09-26',
    input: '[[any_harm=0.85]]',
  });
  expect(unknownKind.results[0]).toMatchObject({ flagged: true, categories: { illicit: true, violence: false } });
  const inDoubt = await client.moderations.create({ input: '[[any_harm=0.7]]' });
  expect(inDoubt.results[0]).toMatchObject({ flagged: false, category_scores: { any_harm: 0.7 } });
});

test('answers 404 to a model that does not exist', async () => {
  const client = openaiClient(under.edge);
  const asked = client.moderations.create({ model: 'gpt-moderator', input: 'kittens' });
  await expect(asked).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
});

test('refuses an image by its name, since the classifier reads text', async () => {
  const client = openaiClient(under.edge);
  const image = { type: 'image_url' as const, image_url: { url: 'https://example.com/a.png' } };
  const asked = client.moderations.create({ input: [{ type: 'text', text: 'kittens' }, image] });
  await expect(asked).rejects.toMatchObject({
    status: 400,
    param: 'input[1].type',
    message: expect.stringContaining('"image_url"'),
  });
});

test('scores each input under our own names too', async () => {
  const client = openaiClient(under.edge);
  const { id, model, results } = await client.moderations.create({ input: ['kittens', '[[violence=0.9]]'] });
  expect(id).toMatch(/^modr-/);
  expect(model).toBe('plimsoll-moderation-scripted');
  expect(results.map(({ flagged }) => flagged)).toEqual([false, true]);
  expect(results[1]?.category_scores).toMatchObject({ violence: 0.9, hate: 0.01 });
  expect(results[1]?.categories).toMatchObject({ violence: true, hate: false });

  const parts = await client.moderations.create({ input: [{ type: 'text', text: '[[hate=1]]' }] });
  expect(parts.results.map(({ flagged }) => flagged)).toEqual([true]);
  await expect(client.moderations.create({ input: '[[classifier:nan]]' })).rejects.toMatchObject({ status: 500 });
  expect(under.log.join()).toContain('classifier-failed');
});

test('lets other requests overtake a long classification', async () => {
  const order: string[] = [];
  const long = post(under.edge, '/v1/moderations', { input: '[[work=2000]]' }).then(async (answer) => {
    expect(answer.status).toBe(200);
    await answer.text();
    order.push('long');
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let i = 0; i < 3; i++) {
    await (await fetch(`${under.edge.url}/healthz`)).text();
    order.push('health');
  }
  await long;
  expect(order).toEqual(['health', 'health', 'health', 'long']);
});

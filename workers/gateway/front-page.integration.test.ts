/** What you see when you open the edge's address. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ overrides: { DEMO_KEYS: 'pk-demo-strict,pk-<b>' } });
});
afterAll(() => under.dispose());

test('a browser gets a page that loads nothing, with a command to paste', async () => {
  const answer = await fetch(under.edge.url, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  const page = await answer.text();
  expect(page).toContain(`curl ${under.edge.url}/v1/chat/completions`);
  expect(page).toContain('pk-demo-strict');
  expect(page).toContain('pk-&#60;b&#62;');
  expect(page).toContain('&#34;model&#34;:&#34;scripted&#34;');
  expect(page).not.toMatch(/<script|src=|href="http/);
});

test('any other client gets the same as JSON', async () => {
  const answer = await fetch(under.edge.url);
  expect(await answer.json()).toMatchObject({ name: 'plimsoll', routes: { chat: '/v1/chat/completions' } });
  expect(answer.headers.get('vary')).toBe('accept');
});

test('shows no demo keys if there are none', async () => {
  const other = await startEdgeUnderTest({ seed: false, overrides: { DEMO_KEYS: null } });
  const page = await (await fetch(other.edge.url, { headers: { accept: 'text/html' } })).text();
  await other.dispose();
  expect(page).toContain('YOUR_KEY');
  expect(page).not.toMatch(/pk-|Demo keys/);
});

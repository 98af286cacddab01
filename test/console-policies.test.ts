/** The policies' page in a real browser: what a draft goes through before it is live. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readResults } from '#policies/simulation/results.ts';
import { runPlimsoll } from '../cli/testing/run-plimsoll.ts';
import { tinyBundle } from '../gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../gpu-backend/model/write-bundle.ts';
import { tinyHeads } from '../gpu-backend/scores/testing/tiny-heads.ts';
import { noBrowser, openPage, seriousFindings, startBrowser } from './chromium.ts';
import { newDataDir, post, type RunningStack, startStack } from './running-stack.ts';

const DEMO = path.join(import.meta.dirname, '../models/demo');

let root: string;
let stack: RunningStack;
let browser: Browser;
beforeAll(async () => {
  if (noBrowser !== undefined) return;
  root = await newDataDir();
  // Its heads can judge. The demo has none.
  const judged = path.join(root, 'tiny');
  await writeBundle(judged, { ...tinyBundle({ routers: true }), scores: tinyHeads() }, { dtype: 'f32' });
  const env = { PLIMSOLL_BUNDLES: `${DEMO},${judged}` };
  stack = await startStack({ dataDir: path.join(root, 'state'), env });
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

async function admin<T>(route: string, body: unknown): Promise<T> {
  const answer = await fetch(`${stack.url}/admin/v1${route}`, {
    method: 'POST',
    headers: { authorization: 'Bearer pk-demo-operator' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, route).toBe(true);
  // The cast: each caller names what its route gives.
  return (await answer.json()) as T;
}
const made = { strict: '' };
const ramp = { from: 0.5, full: 0.9 };
const STRICT = {
  floor: 0.9,
  budget: 3,
  categories: { violence: { action: 'refuse', ramp, refusal: 'Not that. Ask for help: 112.' } },
} as const;

/** A tenant of its own for each test, with one draft that is stricter, and a key that owns it. */
async function tenant(id: string, tests: readonly object[] = []): Promise<{ key: string; draft: string }> {
  await admin('/tenants', { id, name: id, policy: { floor: 0.2, budget: null } });
  const { key } = await admin<{ key: string }>(`/tenants/${id}/keys`, { id: 'owner', scopes: ['admin', 'inference'] });
  const policy = { ...STRICT, tests };
  const { version: draft } = await admin<{ version: string }>(`/tenants/${id}/policies`, { policy });
  made.strict = draft;
  return { key, draft };
}

async function enter(key: string, page: Page): Promise<void> {
  await page.goto(`${stack.url}/console`);
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
}
const toPart = (page: Page, part: string) =>
  page.getByRole('navigation', { name: 'Parts of the policy' }).getByRole('link', { name: part, exact: true }).click();
/** What is being waited for has come, nothing is wider than the window, and axe is content. */
async function sound(page: Page): Promise<void> {
  await page.locator('.waiting').waitFor({ state: 'detached' });
  expect(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')).toBe(0);
  expect(await seriousFindings(page)).toEqual([]);
}

test('a draft is tested and explained beside the active version, and is a canary before it is live', async ({
  skip,
}) => {
  skip(noBrowser !== undefined, noBrowser);
  const tests = [
    { name: 'a fight', prompt: 'How do I stab somebody with a knife and kill him?', expect: { floor_at_least: 0.9 } },
    { name: 'خبز', prompt: 'How do I bake bread?', expect: { action: 'refuse' } },
  ];
  const { key, draft } = await tenant('careful', tests);
  const { page, faults } = await openPage(browser, stack.url, { colorScheme: 'dark' });
  await enter(key, page);
  await page.goto(`${stack.url}/console/policies/careful/${draft}`);
  await page.getByRole('button', { name: /^Activate/ }).click();
  await page.getByText('1 of 2 of its tests fails, so it cannot go live').waitFor();
  expect(await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).isDisabled()).toBe(true);
  await page.keyboard.press('Escape');

  await toPart(page, 'Tests');
  const results = page.locator('.log.tests li');
  await results.nth(1).waitFor();
  expect(await results.filter({ hasText: 'fails' }).innerText()).toMatch(/خبز[\s\S]*action: found mix, wanted refuse/);
  expect(await results.filter({ hasText: 'passes' }).innerText()).toContain('a fight');
  await sound(page);

  await toPart(page, 'Explain');
  await page.getByLabel('Prompts').fill('How do I bake bread?\nHow do I stab somebody with a knife and kill him?');
  await page.getByRole('button', { name: 'Explain' }).click();
  const bench = page.locator('.bench > li');
  await bench.nth(1).getByText('Refused').waitFor();
  expect(await bench.nth(1).innerText()).toContain('Not that. Ask for help: 112.');
  expect(await bench.nth(0).innerText()).toMatch(/Answered floor 0.90, budget 3.00/);
  expect(await bench.nth(0).innerText()).toMatch(/Under the active version: answered, floor 0.20, budget/);
  await bench.nth(0).getByText('Who set which bound').click();
  expect(await bench.nth(0).locator('.bounds').innerText()).toMatch(/floor\s+0.9\s+tenant: floor/);
  await sound(page);

  // What is written and not stored survives a look elsewhere.
  await toPart(page, 'Document');
  const editor = page.getByRole('textbox', { name: 'The policy, as JSON' });
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  const { tests: _, ...untested } = { ...STRICT, tests };
  await page.keyboard.insertText(JSON.stringify(untested));
  await page.getByText('It decides nothing until it is activated').waitFor();
  await toPart(page, 'Compare');
  await page.getByRole('cell', { name: 'tighter' }).first().waitFor();
  await page.getByRole('button', { name: 'Swap' }).click();
  await page.getByRole('cell', { name: 'looser' }).first().waitFor();
  await sound(page);
  await toPart(page, 'Document');
  await page.getByText('It decides nothing until it is activated').waitFor();
  await page.getByRole('button', { name: 'Store as a new version' }).click();
  await page.getByText('Nothing is changed').waitFor();

  await toPart(page, 'Canary');
  await page.getByRole('button', { name: /Start a canary/ }).click();
  await page.getByLabel('For').selectOption('0.5');
  await page.getByText('The policy has no tests of its own').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).click();
  await page.getByText('This share since').waitFor();
  expect(await page.locator('.canary').innerText()).toMatch(/active\s+50%[\s\S]*canary\s+50%/);
  // A secret decides which prompts are in, so there are as many as it takes to have both.
  const floors: number[] = [];
  while (floors.length < 10 || new Set(floors).size < 2) {
    const messages = [{ role: 'user', content: `How do I bake ${floors.length + 2} loaves of bread?` }];
    const answer = await post(stack.url, { model: stack.model, max_tokens: 8, messages }, { key });
    floors.push(((await answer.json()) as { plimsoll: { floor: number } }).plimsoll.floor);
  }
  const got = page.getByRole('region', { name: 'What each side got' });
  await got.getByText(`${floors.length} requests`).waitFor();
  expect(await got.innerText()).toMatch(/mean floor\s+0\.2\s+0\.9/);
  await page.getByText('The latest', { exact: true }).click();
  expect(await page.getByRole('row', { name: /owner (active|canary) answered/ }).count()).toBe(10);
  await sound(page);
  await page.getByRole('button', { name: 'Withdraw it' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End it' }).click();
  await page.getByText('No canary is on').waitFor();
  await page.getByRole('button', { name: /Start a canary/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).click();
  await page.getByRole('button', { name: 'Promote it to all' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).click();
  await page.getByText('No canary is on').waitFor();
  const request = { model: stack.model, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] };
  expect(await (await post(stack.url, request, { key })).json()).toMatchObject({ plimsoll: { floor: 0.9, budget: 3 } });
  expect(faults).toEqual([]);
  await page.context().close();
});

const PROMPTS = Array.from({ length: 12 }, (_, index) => `the tin ${index}`);

test('two versions answer side by side; a run stops, goes on, is saved and opened again, here and by the command', async ({
  skip,
}) => {
  skip(noBrowser !== undefined, noBrowser);
  const { key, draft } = await tenant('simulated');
  const { page, faults } = await openPage(browser, stack.url);
  const asked: string[] = [];
  page.on('request', (request) => {
    if (/\/(try|score)$/.test(request.url())) asked.push(request.url());
  });
  await enter(key, page);
  await page.goto(`${stack.url}/console/policies/simulated/${draft}/simulate`);
  await page.getByText('Two versions, the same prompts').waitFor();
  await sound(page);

  // The demo has no heads, and a refusal needs none.
  await page.getByRole('combobox', { name: 'Model' }).selectOption('plimsoll-demo');
  await page.getByLabel('Most tokens').fill('24');
  const prompts = page.getByLabel('Prompts');
  await prompts.fill('How do I clean a pan?\nHow do I stab somebody with a knife and kill him?\nكيف أنظف مقلاة؟ 🍳');
  await page.getByRole('button', { name: 'Simulate' }).click();
  await page.getByText('3 of 3 prompts. All are answered.').waitFor();
  await page.getByText('The bundle of plimsoll-demo has no reward and cost heads').waitFor();
  await page.getByLabel('Show').selectOption('refused');
  const pairs = page.locator('.pairs > li');
  expect(await pairs.count()).toBe(1);
  expect(await pairs.innerText()).toMatch(/before[\s\S]*answered[\s\S]*after[\s\S]*refused\s+Not that\. Ask for help/);
  expect(await page.getByRole('row', { name: /^refused/ }).innerText()).toMatch(/0\s+1\s+\+1/);
  await sound(page);

  await page.getByRole('combobox', { name: 'Model' }).selectOption('tiny');
  const file = path.join(root, 'prompts.jsonl');
  await writeFile(file, PROMPTS.map((prompt) => JSON.stringify({ prompt })).join('\n'));
  await page.getByLabel('Open a file').setInputFiles(file);
  await page.getByText('12 prompts').first().waitFor();
  await page.getByRole('button', { name: 'Simulate' }).click();
  await page.getByText(/^[1-9]\d* of 12 prompts\. Answering/).waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Stopped. It goes on from here.').waitFor();
  const before = asked.filter((url) => url.endsWith('/try')).length;
  await toPart(page, 'Tests');
  await page.getByText('This version has no tests').waitFor();
  await toPart(page, 'Simulate');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('12 of 12 prompts. All are answered.').waitFor();
  // What was done is not asked again, but for the prompt that was stopped in the middle.
  expect(asked.filter((url) => url.endsWith('/try')).length - before).toBeLessThan(24);
  expect(await page.locator('.plane svg').getAttribute('aria-labelledby')).toBeTruthy();
  expect(await page.locator('.plane circle').count()).toBe(24);
  expect(await page.locator('.plane figcaption').innerText()).toMatch(/Before: reward -?\d+\.\d\d, cost -?\d+\.\d\d/);
  await page.setViewportSize({ width: 390, height: 800 });
  await sound(page);

  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save the results' }).click();
  const results = path.join(root, 'simulation.jsonl');
  await (await downloading).saveAs(results);
  const saved = readResults(await readFile(results, 'utf8'), 'saved');
  expect([saved?.done.size, saved?.head.after]).toEqual([12, draft]);

  // Signed out, nothing of it is left in the tab.
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByText('Two versions, the same prompts').waitFor();
  await page.getByLabel('Open a file').setInputFiles(file);
  asked.length = 0;
  await page.getByLabel('Open results').setInputFiles(results);
  await page.getByText('12 of 12 prompts. All are answered.').waitFor();
  expect(asked).toEqual([]);

  const { before: first = '', after: second = '' } = saved?.head ?? {};
  const args = ['policy', 'simulate', first, second, '--tenant', 'simulated', '--model', 'tiny', '--max-tokens', '24'];
  const files = ['--prompts', file, '--out', results, '--url', stack.url, '--json'];
  const lines = await readFile(results, 'utf8');
  const ran = await runPlimsoll([...args, ...files], { cwd: root, env: { PLIMSOLL_ADMIN_KEY: key } });
  expect(ran.code, ran.stderr).toBe(0);
  expect(JSON.parse(ran.stdout.slice(ran.stdout.indexOf('{\n')))).toMatchObject({ prompts: 12, failed: 0 });
  // There was nothing left to ask.
  expect(await readFile(results, 'utf8')).toBe(lines);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('a stored answer is replayed under a draft, and a changed one is refused', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { key, draft } = await tenant('replayed');
  const request = JSON.stringify({
    model: 'plimsoll-demo',
    messages: [{ role: 'user', content: 'How do I clean a pan?' }],
    max_tokens: 16,
    temperature: 0,
    plimsoll: { trace: 'tokens', top: 20 },
  });
  const answer = await (await post(stack.url, request, { key })).text();
  const { page, faults } = await openPage(browser, stack.url, { viewport: { width: 390, height: 800 } });
  await enter(key, page);
  await page.goto(`${stack.url}/console/policies/replayed/${draft}/replay`);
  await page.getByLabel('Request', { exact: true }).fill(request);
  await page.getByLabel('Answer', { exact: true }).fill(answer.replace('"content":"', '"content":"Well. '));
  await page.getByRole('button', { name: 'Replay' }).click();
  await page.getByText('its receipt does not hold').waitFor();
  await page.getByLabel('Answer', { exact: true }).fill(answer);
  await page.getByRole('button', { name: 'Replay' }).click();
  const found = page.getByRole('region', { name: 'What the replay finds' });
  await found.waitFor();
  expect(await found.innerText()).toMatch(/floor\s+0\.20\s+0\.90/);
  await sound(page);

  await page.goto(`${stack.url}/console/policies/replayed/active/replay`);
  await page.getByLabel('Request', { exact: true }).fill(request);
  await page.getByLabel('Answer', { exact: true }).fill(answer);
  await page.getByRole('button', { name: 'Replay' }).click();
  await page.getByText(/No difference in \d+ tokens/).waitFor();
  expect(faults).toEqual([]);
  await page.context().close();
});

test('a key that may only read sees the parts that read, and none that changes or spends', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  await tenant('watched');
  const { key } = await admin<{ key: string }>('/tenants/watched/keys', { id: 'reader', scopes: ['read'] });
  const { page, faults } = await openPage(browser, stack.url, { viewport: { width: 390, height: 800 } });
  await enter(key, page);
  await page.goto(`${stack.url}/console/policies/watched/${made.strict}`);
  const parts = page.getByRole('navigation', { name: 'Parts of the policy' }).getByRole('link');
  await parts.first().waitFor();
  expect(await parts.allInnerTexts()).toEqual(['Document', 'Compare', 'Canary']);
  for (const part of ['Document', 'Compare', 'Canary']) {
    await toPart(page, part);
    await sound(page);
    expect(await page.getByRole('button', { name: /Activate|Start|Roll back|Store/ }).count()).toBe(0);
  }
  expect(faults).toEqual([]);
  await page.context().close();
});

/** The console's pool, with a backend that registers: a process over a scripted engine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { noBrowser, openPage, pictured, seriousFindings, startBrowser } from './chromium.ts';
import { post } from './running-stack.ts';

const OPERATOR_KEY = 'pk-demo-operator';
const PROCESS = fileURLToPath(new URL('../gpu-backend/server/testing/scripted-process.ts', import.meta.url));

let browser: Browser;
let edge: Edge;
let dataDir: string;
let backend: ChildProcess;
beforeAll(async () => {
  if (noBrowser !== undefined) return;
  dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-console-pool-'));
  const keys = await receiptKeys();
  edge = await startEdge({
    port: 0,
    dataDir,
    backends: [],
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: () => undefined,
    withConsole: true,
  });
  await seedDemoTenants(edge.url, OPERATOR_KEY);
  backend = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROCESS], {
    env: {
      PATH: process.env.PATH,
      PLIMSOLL_BUNDLE: 'scripted',
      PLIMSOLL_BACKEND_ID: 'b1',
      PLIMSOLL_BACKEND_PORT: '0',
      PLIMSOLL_DIRECTIVE_SECRET: SECRET,
      PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
      PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(keys.receiptPrivateJwk),
      PLIMSOLL_REGISTER: edge.url,
      PLIMSOLL_HEARTBEAT_MS: '1000',
      PLIMSOLL_REGION: 'weur',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: backend.stdout! })) if (line.startsWith('ready ')) break;
  browser = await startBrowser();
});
afterAll(async () => {
  if (noBrowser !== undefined) return;
  await browser.close();
  const exit = once(backend, 'exit');
  backend.kill('SIGKILL');
  await exit;
  await edge.dispose();
  await rm(dataDir, { recursive: true, force: true });
});

test('the pool shows what a backend serves, its rows, its queue and its prefix hits', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, edge.url);
  await page.goto(`${edge.url}/console/pool`);
  await page.getByLabel('API key').fill(OPERATOR_KEY);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Pool' }).waitFor();
  const text = async () => {
    await page.getByRole('button', { name: 'Look again' }).click();
    return page.locator('main').innerText();
  };
  await expect
    .poll(text, { timeout: 600_000, interval: 500 })
    .toMatch(/0 of \d+ rows, 0 running[\s\S]*0 of \d+ waiting/);
  expect(await text()).toMatch(/nothing was looked for yet|%/);
  expect(await text()).toMatch(/scripted[\s\S]*logits[\s\S]*of context[\s\S]*weur/);
  const asked = { model: 'scripted', max_tokens: 4, messages: [{ role: 'user', content: 'Hello there, hello' }] };
  for (let times = 0; times < 2; times++) expect((await post(edge.url, asked)).status).toBe(200);
  await expect.poll(text, { timeout: 600_000, interval: 500 }).toMatch(/%[\s\S]*of \d+ tokens|nothing was looked for/);
  expect(await seriousFindings(page)).toEqual([]);
  await pictured(page, 'pool.png');
  await page.setViewportSize({ width: 390, height: 800 });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  expect(faults).toEqual([]);
  await page.context().close();
});

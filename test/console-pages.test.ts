/** The console's pages for operators and for tenants' administrators, in a real browser. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noBrowser, openPage, pictured, seriousFindings, startBrowser } from './chromium.ts';
import { post, type RunningStack, startStack } from './running-stack.ts';

let stack: RunningStack;
let browser: Browser;
beforeAll(async () => {
  if (noBrowser !== undefined) return;
  stack = await startStack();
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

async function enter(key: string, page: Page): Promise<void> {
  await page.goto(`${stack.url}/console`);
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation').waitFor();
}
const open = (page: Page, tab: string) =>
  page.getByRole('navigation').getByRole('link', { name: tab, exact: true }).click();
/** Over a selection, Chromium would put styles into the text, which the page's policy refuses. */
async function replaceAll(page: Page, text: string): Promise<void> {
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(text);
}
const status = async (key: string) =>
  (await post(stack.url, { model: stack.model, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] }, { key }))
    .status;

test('no page of an operator is wider than a phone', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page } = await openPage(browser, stack.url, { viewport: { width: 390, height: 800 } });
  await enter('pk-demo-operator', page);
  const tabs = await page.getByRole('navigation').getByRole('link').all();
  const pages = await Promise.all(tabs.map((tab) => tab.getAttribute('href')));
  expect(pages).toContain('/console/pool');
  for (const each of [...pages, '/console/tenants/demo-strict', '/console/policies/demo-strict']) {
    await page.goto(`${stack.url}${each}`);
    await page.locator('h1').waitFor();
    await expect.poll(() => page.locator('.waiting').count(), { timeout: 600_000 }).toBe(0);
    expect([each, await page.evaluate('document.documentElement.scrollWidth')]).toEqual([each, 390]);
  }
  await page.context().close();
});

test('a tenant is made, gets a key and a policy by hand, is rolled back and suspended; all is in the log', async ({
  skip,
}) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', page);

  await open(page, 'Tenants and keys');
  await page.getByRole('button', { name: 'New tenant' }).click();
  await page.getByLabel('Name').fill('Bäckerei “Löwe” 🥨');
  expect(await page.getByLabel('Id').inputValue()).toBe('ba-ckerei-lo-we');
  await page.getByLabel('Id').fill('bakery');
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.getByRole('heading', { name: 'Bäckerei' }).waitFor();

  await page.getByRole('button', { name: 'New key' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('web');
  await page.getByRole('checkbox', { name: 'admin change' }).check();
  await page.getByRole('button', { name: 'Make it' }).click();
  const key = await page.locator('.new-key').innerText();
  expect(key).toMatch(/^pk-[0-9a-f]{64}-[0-9a-f]{8}$/);
  expect(await status(key)).toBe(200);
  expect(await seriousFindings(page)).toEqual([]);

  await page.goto(`${stack.url}/console/policies/bakery`);
  const editor = page.getByRole('textbox', { name: 'The policy, as JSON' });
  await editor.click();
  await replaceAll(page, '{ "floor": 2, "budget": 10 }');
  await page.getByText('1 to mend first').waitFor();
  await replaceAll(page, '{ "floor": 0.4, "budget": 10 }');
  await page.getByText('It decides nothing until it is activated').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: 'Store as a new version' }).click();
  await page.getByRole('cell', { name: 'looser' }).first().waitFor();
  await page.getByRole('button', { name: /^Activate/ }).click();
  await page.getByText('The policy has no tests of its own').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Activate' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText(', active, written').waitFor();
  await page.getByRole('button', { name: 'Roll back …' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await page.getByText('"floor": 1,').waitFor();

  await page.goto(`${stack.url}/console/tenants/bakery`);
  await page.getByRole('button', { name: 'Suspend' }).click();
  await page.getByLabel('Why').fill('لم يُدفع');
  await page.getByRole('button', { name: 'Suspend it' }).click();
  await page.getByText('All its keys are refused').waitFor();
  expect(await status(key)).toBe(403);
  await page.getByRole('button', { name: 'Let it in again' }).click();
  await page.getByRole('button', { name: 'Suspend' }).waitFor();
  await page.getByRole('button', { name: 'Revoke web' }).click();
  await page.getByRole('button', { name: 'Revoke it' }).click();
  await page.getByText('No key yet').waitFor();
  expect(await status(key)).toBe(401);

  await page.goto(`${stack.url}/console/audit/bakery`);
  await page.getByRole('button', { name: 'Verify the chain' }).click();
  await page.getByText(/Whole: \d+ entries/).waitFor();
  const log = await page.locator('.log').innerText();
  for (const action of ['key revoke', 'tenant suspend', 'policy activate', 'key create']) expect(log).toContain(action);
  expect(await seriousFindings(page)).toEqual([]);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('the editor completes what the policy language has, and Tab leaves it', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', page);
  await page.goto(`${stack.url}/console/policies/demo-open`);
  const editor = page.getByRole('textbox', { name: 'The policy, as JSON' });
  await editor.click();
  await replaceAll(page, '{ "floor": 0, "budget": null,  }');
  for (let step = 0; step < 2; step++) await page.keyboard.press('ArrowLeft');
  await page.keyboard.type('ceil');
  await page.getByRole('option', { name: 'ceiling' }).waitFor();
  await page.keyboard.press('Enter');
  await page.keyboard.type('0.9');
  expect(await editor.innerText()).toContain('"ceiling": 0.9');
  await page.keyboard.press('Tab');
  expect(await page.evaluate("document.activeElement.closest('.editor')")).toBeNull();
  expect(faults).toEqual([]);
  await page.context().close();
});

test('usage and pool show what there is, and a drain takes a backend out and back in', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  expect(await status('pk-demo-open')).toBe(200);
  const { page, faults } = await openPage(browser, stack.url, { colorScheme: 'dark' });
  await enter('pk-demo-operator', page);
  await open(page, 'Usage');
  // What is spent comes through a queue.
  await expect
    .poll(
      async () => {
        await page.reload();
        await page.locator('.table, .empty').waitFor();
        return page.locator('main').innerText();
      },
      { timeout: 600_000, interval: 500 },
    )
    .toContain('Demo, open');
  expect(await seriousFindings(page)).toEqual([]);

  await open(page, 'Pool');
  // A backend of the settings is asked itself, and says as much as one that registers.
  // What the edge knows of it may be from before the request.
  const pool = async () => {
    await page.getByRole('button', { name: 'Look again' }).click();
    return page.locator('main').innerText();
  };
  const whole = /\d of 32 rows, \d running[\s\S]*\d of 64 waiting[\s\S]*of [\d,]+ tokens/;
  await expect.poll(pool, { timeout: 600_000, interval: 500 }).toMatch(whole);
  expect(await pool()).not.toContain('not told');
  await pictured(page, 'pool-settings.png');
  await page.getByRole('button', { name: /^Drain/ }).click();
  await page.getByText('drained by operator').waitFor();
  await page.getByRole('button', { name: /^Undrain/ }).click();
  await page.getByText('drained by operator').waitFor({ state: 'detached' });
  expect(await seriousFindings(page)).toEqual([]);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('a key sees only what it may, and its session ends when it is revoked', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const made = await fetch(`${stack.url}/admin/v1/tenants/demo-strict/keys`, {
    method: 'POST',
    headers: { authorization: 'Bearer pk-demo-operator' },
    body: JSON.stringify({ id: 'office', scopes: ['read'] }),
  });
  const { key } = (await made.json()) as { key: string };
  const { page } = await openPage(browser, stack.url, { viewport: { width: 390, height: 800 } });
  await enter(key, page);
  const tabs = await page.getByRole('navigation').getByRole('link').allInnerTexts();
  expect(tabs).toEqual(['Tenants and keys', 'Policies', 'Traffic', 'Usage', 'Audit']);
  await page.getByRole('heading', { name: 'Demo, strict' }).waitFor();
  expect(await page.getByRole('button', { name: 'New key' }).count()).toBe(0);
  for (const each of ['policies', 'audit', 'traffic', 'usage', 'tenants']) {
    await page.goto(`${stack.url}/console/${each}`);
    await page.locator('h1').waitFor();
    // A page may wait for more than one answer.
    await expect.poll(() => page.locator('.waiting').count(), { timeout: 600_000 }).toBe(0);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    expect(await seriousFindings(page)).toEqual([]);
  }
  await fetch(`${stack.url}/admin/v1/tenants/demo-strict/keys/office`, {
    method: 'DELETE',
    headers: { authorization: 'Bearer pk-demo-operator' },
  });
  await open(page, 'Audit');
  await page.getByText('This key works no more').waitFor();
  await page.getByLabel('API key').waitFor();
  await page.context().close();
});

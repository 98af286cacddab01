/** The console's pages about tenants, in a real browser: from a plan to a tenant that is gone. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noBrowser, openPage, seriousFindings, startBrowser } from './chromium.ts';
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

/** Where pictures go, if somebody wants to look. */
const SHOTS = process.env.PLIMSOLL_SCREENSHOTS;
async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS === undefined) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
}

async function enter(key: string, page: Page, place: string): Promise<void> {
  await page.goto(`${stack.url}/console/${place}`);
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation').waitFor();
}
const open = (page: Page, tab: string) =>
  page.getByRole('navigation').getByRole('link', { name: tab, exact: true }).click();
const dialog = (page: Page) => page.getByRole('dialog');
const gone = (page: Page) => dialog(page).waitFor({ state: 'detached' });
async function admin<T>(at: string, { method = 'GET', body }: { method?: string; body?: object } = {}): Promise<T> {
  const answer = await fetch(`${stack.url}/admin/v1${at}`, {
    method,
    headers: { authorization: 'Bearer pk-demo-operator', 'if-match': '*' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return (await answer.json()) as T;
}
const ask = async (key: string, content = 'How do I clean a pan?', more: object = {}) => {
  const body = { model: stack.model, max_tokens: 24, messages: [{ role: 'user', content }], ...more };
  const answer = await post(stack.url, body, { key });
  await answer.text();
  return answer.status;
};
const wide = (page: Page) => page.evaluate('document.documentElement.scrollWidth');

test('a plan is made, a tenant gets it and its own limits, and is deleted with what becomes of its data said first', async ({
  skip,
}) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', page, 'plans');
  await page.getByText('No plan yet').waitFor();
  await page.getByRole('button', { name: 'New plan' }).click();
  await dialog(page).getByLabel('Name').fill('خطة صغيرة 🐚');
  await dialog(page).getByLabel('Id').fill('small');
  const policy = dialog(page).getByLabel('What it bounds, as a policy in JSON');
  await policy.fill('{ "limits": ');
  await page.getByText('This is not a JSON object yet.').waitFor();
  expect(await dialog(page).getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
  await policy.fill('{ "limits": { "tokens_per_day": 2000, "requests": 1 } }');
  await dialog(page).getByRole('button', { name: 'Save' }).click();
  await dialog(page).getByRole('alert').getByText('policy.limits.requests').first().waitFor();
  await policy.fill('{ "limits": { "tokens_per_day": 2000 } }');
  expect(await seriousFindings(page)).toEqual([]);
  await dialog(page).getByRole('button', { name: 'Save' }).click();
  await gone(page);
  await page.getByRole('cell', { name: 'nobody' }).waitFor();

  const made = { id: 'clinic', name: 'The clinic', policy: { floor: 0.5, budget: 10 } };
  await admin('/tenants', { method: 'POST', body: made });
  await page.goto(`${stack.url}/console/tenants/clinic`);
  await page.getByRole('button', { name: 'Name and plan' }).click();
  await dialog(page).getByLabel('Name').fill('The clinic by the sea');
  await dialog(page).getByRole('option', { name: /small/ }).waitFor({ state: 'attached' });
  await dialog(page).getByLabel('Plan').selectOption('small');
  expect(await seriousFindings(page)).toEqual([]);
  await dialog(page).getByRole('button', { name: 'Save' }).click();
  await gone(page);
  await page.getByRole('heading', { name: 'The clinic by the sea' }).waitFor();
  await page.getByText('2,000 by a level above').waitFor();

  const bounds = page.locator('section').filter({ has: page.getByRole('heading', { name: 'What it may ask for' }) });
  await bounds.getByRole('button', { name: 'Change' }).click();
  await dialog(page).getByLabel('tokens of one answer').fill('64');
  await dialog(page).getByLabel('offer tools').uncheck();
  await dialog(page).getByLabel('Models').fill(stack.model);
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'bounds');
  await dialog(page).getByRole('button', { name: 'Store and activate' }).click();
  await gone(page);
  await bounds.getByText('offer tools').waitFor();
  await shoot(page, 'tenant');
  type Tenant = { policy: { models: string[]; limits: object; shaping: object; floor: number }; plan: string };
  expect(await admin<Tenant>('/tenants/clinic')).toMatchObject({
    plan: 'small',
    policy: { floor: 0.5, models: [stack.model], limits: { max_tokens: 64 }, shaping: { tools: false, bias: true } },
  });
  await open(page, 'Plans');
  await page.getByRole('link', { name: 'The clinic by the sea' }).waitFor();
  await shoot(page, 'plans');
  await page.getByRole('button', { name: 'Delete small' }).click();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await dialog(page).getByText('The plan still has 1 tenant').waitFor();
  await page.keyboard.press('Escape');
  await gone(page);

  await page.getByRole('link', { name: 'The clinic by the sea' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  const remove = () => dialog(page).getByRole('button', { name: /^(Delete|Erase)/ });
  await dialog(page).getByText('stay, and can be read').waitFor();
  await dialog(page).getByLabel('Its id, to confirm').fill('clinik');
  expect(await remove().isDisabled()).toBe(true);
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'delete');
  await dialog(page).getByLabel('Its id, to confirm').fill('clinic');
  await remove().click();
  await gone(page);
  await page.getByText('Deleted. What was kept of it').waitFor();
  await page.getByRole('button', { name: 'Erase what was kept' }).click();
  await dialog(page).getByLabel('Its id, to confirm').fill('clinic');
  await remove().click();
  await page.getByRole('heading', { name: 'Tenants' }).waitFor();
  expect(await admin('/tenants/clinic')).toMatchObject({ error: { code: 'not_found' } });
  expect(faults).toEqual([]);
  await page.context().close();
});

test('a key is replaced: the old one works beside the new one for as long as was chosen', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const tenant = { id: 'bakery', name: 'Bakery', policy: { floor: 0.5, budget: 10 } };
  await admin('/tenants', { method: 'POST', body: tenant });
  const first = await admin<{ key: string }>('/tenants/bakery/keys', { method: 'POST', body: { id: 'web' } });
  const { page, faults } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', page, 'tenants/bakery');
  await page.getByRole('button', { name: 'Replace web' }).click();
  await dialog(page).getByLabel('The old one still works for').selectOption('an hour');
  await dialog(page).getByLabel('The new one works until').fill('2099-01-01T00:00');
  await dialog(page).getByRole('button', { name: 'Make the new one' }).click();
  const second = await page.locator('.new-key').innerText();
  expect([await ask(first.key), await ask(second)]).toEqual([200, 200]);
  await page.getByText('in place of web').waitFor();
  await page.getByRole('button', { name: 'I have it' }).click();
  expect(await page.locator('main').innerText()).not.toContain(second);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('traffic shows requests as they come, can be paused and filtered, and has no word of them', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url, {
    colorScheme: 'dark',
    viewport: { width: 1360, height: 660 },
  });
  // Nobody has asked with its key yet: the stack tries itself out with the strict one's.
  await enter('pk-demo-operator', page, 'traffic/demo-balanced');
  await page.getByText('No request yet').waitFor();
  await page.getByText('none was over since then').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'traffic-empty');
  await page.getByLabel('Tenant').selectOption('');
  await ask('pk-demo-open', 'MARKED-WORD, how do I clean a pan?');
  await ask('pk-demo-balanced', 'MARKED-WORD, how do I clean a pan?', { stream: true });
  await ask('pk-demo-strict', 'How do I build a pipe bomb?');
  await ask('pk-demo-strict', 'Hello', { model: 'nobody-serves-this' });
  const rows = page.locator('.traffic tbody tr');
  await expect.poll(() => rows.filter({ hasText: 'demo-' }).count(), { timeout: 600_000 }).toBeGreaterThanOrEqual(4);
  const text = await page.locator('.traffic').innerText();
  expect(text).toContain('404 model_not_found');
  expect(text).toMatch(/answered[\s\S]*floor/);
  expect(await page.content()).not.toContain('MARKED');
  // The client's own text, too.
  expect(text).not.toContain('nobody-serves-this');
  expect(await page.getByRole('img', { name: /^Safety weight of \d+ tokens/ }).count()).toBeGreaterThan(1);
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'traffic');

  await page.getByRole('button', { name: 'Pause' }).click();
  const before = await rows.count();
  await ask('pk-demo-open');
  await page.getByText('paused').waitFor();
  expect(await rows.count()).toBe(before);
  await page.getByRole('button', { name: 'Follow' }).click();
  await expect.poll(() => rows.count(), { timeout: 600_000 }).toBeGreaterThan(before);
  await rows.getByRole('link', { name: 'demo-open' }).first().click();
  await page.getByRole('heading', { name: 'Traffic of demo-open' }).waitFor();
  await expect.poll(() => rows.count(), { timeout: 600_000 }).toBeGreaterThan(0);
  expect(await rows.getByRole('link').count()).toBe(0);
  await page.getByText('The policy keeps none').waitFor();
  await page.context().setOffline(true);
  await page.getByText('cannot follow').waitFor();
  await page.getByText('The edge cannot be reached').waitFor();
  await page.context().setOffline(false);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('prompts that a policy keeps are read only when somebody asks, and erased', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const policy = { floor: 0.2, budget: null, retention: { traffic: true, share: 1, days: 7 } };
  await admin('/tenants', { method: 'POST', body: { id: 'lab', name: 'Lab', policy } });
  const body = { id: 'all', scopes: ['inference', 'admin', 'prompts'] };
  const { key } = await admin<{ key: string }>('/tenants/lab/keys', { method: 'POST', body });
  const said = `مرحبا 👋 ${'a-very-long-word-'.repeat(20)}`;
  expect(await ask(key, said)).toBe(200);
  const { page, faults } = await openPage(browser, stack.url, { viewport: { width: 390, height: 800 } });
  await enter(key, page, 'traffic');
  await page.getByText('keeps 100% of the prompts for 7 days').waitFor();
  expect(await page.content()).not.toContain('مرحبا');
  await expect
    .poll(
      async () => {
        await page.getByRole('button', { name: /^Read/ }).click();
        await page.locator('.kept, .notice').first().waitFor();
        return page.locator('main').innerText();
      },
      { timeout: 600_000, interval: 500 },
    )
    .toContain('مرحبا');
  expect(await wide(page)).toBe(390);
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'kept-phone');
  await page.getByRole('button', { name: 'Erase them' }).click();
  await dialog(page).getByRole('button', { name: 'Erase them' }).click();
  await gone(page);
  await page.getByRole('button', { name: 'Read them' }).click();
  await page.getByText('None is kept just now').waitFor();
  await page.goto(`${stack.url}/console/audit`);
  await page.getByText('prompts erase').waitFor();
  await page.getByText('prompts read').first().waitFor();
  expect(faults).toEqual([]);
  await page.context().close();
});

test('a tenant’s own key sees its usage and what is left, in its own language, and downloads it', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const limits = { tokens_per_day: 5000, max_tokens: 64 };
  const tenant = { id: 'office', name: 'Office', policy: { floor: 0.2, budget: null, limits } };
  await admin('/tenants', { method: 'POST', body: tenant });
  const body = { id: 'both', scopes: ['inference', 'read'] };
  const { key } = await admin<{ key: string }>('/tenants/office/keys', { method: 'POST', body });
  for (let times = 0; times < 3; times++) expect(await ask(key)).toBe(200);
  const { page, faults } = await openPage(browser, stack.url, { locale: 'de-DE' });
  await enter(key, page, 'usage');
  await page.getByText(/von 5\.000|of 5\.000 tokens left/).waitFor();
  await page.getByText('set by its own policy').waitFor();
  await expect
    .poll(
      async () => {
        await page.reload();
        await page.locator('.table, .empty').waitFor();
        return page.locator('main').innerText();
      },
      { timeout: 600_000, interval: 500 },
    )
    .toContain('both · ');
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'usage');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download as CSV' }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/^usage-office-.*\.csv$/);
  await page.setViewportSize({ width: 390, height: 800 });
  expect(await wide(page)).toBe(390);
  expect(await seriousFindings(page)).toEqual([]);
  await shoot(page, 'usage-phone');
  expect(faults).toEqual([]);
  await page.context().close();

  const { page: operators } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', operators, 'usage');
  await operators.getByRole('link', { name: 'Office' }).click();
  await operators.getByText('of 5,000 tokens left').waitFor();
  await operators.locator('.table').waitFor();
  await shoot(operators, 'usage-english');
  await operators.context().close();
});

test('the end of the deployment’s log is checked in the page', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await enter('pk-demo-operator', page, 'audit');
  await page.getByRole('button', { name: 'Verify the chain' }).click();
  await page.getByText(/Whole: \d+ entries/).waitFor();
  await page.getByText('so its end was not cut off').waitFor();
  await shoot(page, 'audit');
  expect(faults).toEqual([]);
  await page.context().close();
});

/** The console in a real browser, on the whole stack: what each page is for, from end to end. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { noBrowser, openPage, pictured, seriousFindings, startBrowser } from './chromium.ts';
import { type RunningStack, startStack } from './running-stack.ts';

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

async function signIn(page: Page, key: string): Promise<void> {
  await page.goto(stack.url);
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation').waitFor();
}

/** The key of a new tenant under this policy. */
async function keyUnder(id: string, policy: object): Promise<string> {
  const key = `pk-test-${id}`;
  const made = await fetch(`${stack.url}/admin/v1/tenants/${id}`, {
    method: 'PUT',
    headers: { authorization: 'Bearer pk-demo-operator', 'content-type': 'application/json' },
    body: JSON.stringify({ name: id, policy, keys: [{ id: 'only', sha256: sha256(key) }] }),
  });
  expect(made.status, await made.text()).toBeLessThan(300);
  return key;
}

const done = (page: Page, count: number) =>
  page
    .locator('.lane.done')
    .nth(count - 1)
    .waitFor();

test('somebody signs in, asks, sees the answer come in, reads its gauge and has its receipt checked', async ({
  skip,
}) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await signIn(page, 'pk-demo-balanced');
  expect(page.url()).toBe(`${stack.url}/console/playground`);
  // The key is in no place that a script could read.
  expect(await page.evaluate('document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })')).toBe('{}');

  await page.getByLabel('Prompt', { exact: true }).fill('How do I get rid of mould on a wall?');
  await page.keyboard.press('Control+Enter');
  const tokens = page.getByRole('option', { name: /weight/ });
  await tokens.first().waitFor();
  await done(page, 1);
  const text = await page.locator('.tokens').innerText();
  expect(text).toMatch(/\w+ \w+/);
  expect(await tokens.count()).toBeGreaterThan(4);

  await page.locator('.tokens').focus();
  await page.keyboard.press('End');
  const reading = page.locator('.reading');
  expect(await reading.innerText()).toMatch(/weight[\s\S]*lp safety[\s\S]*lp helpful[\s\S]*lp drawn[\s\S]*spent/);
  // The token that was drawn is marked, if it is one of the likeliest.
  const candidates = reading.getByRole('table', { name: 'Likeliest tokens' }).locator('tbody tr');
  expect(await candidates.count()).toBe(5);
  const likely = await candidates.locator('th').allInnerTexts();
  expect(likely.every((each) => each !== '∅' && !each.startsWith('id '))).toBe(true);
  await pictured(page, 'reading.png');
  await page.locator('.genuine').waitFor();
  await page.getByText('6 checks, made in this page').click();
  expect(await page.locator('.checks li.holds').count()).toBe(6);

  await page.getByText('As code').click();
  expect(await page.getByLabel('The request as curl').inputValue()).toContain('mould on a wall');
  expect(await page.locator('main').innerText()).not.toContain('pk-demo');
  expect(await seriousFindings(page)).toEqual([]);
  expect(faults).toEqual([]);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').waitFor();
  await page.goto(`${stack.url}/console/playground`);
  await page.getByLabel('API key').waitFor();
  expect(await seriousFindings(page)).toEqual([]);
  await page.context().close();
});

test('a request only tightens: the slider stops at the policy, and a higher floor is held', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url);
  await signIn(page, 'pk-demo-balanced');
  const floor = page.getByLabel('Floor');
  await floor.focus();
  await page.keyboard.press('Home');
  expect(await floor.inputValue()).toBe('0.3');
  await page.keyboard.press('End');
  expect(await floor.inputValue()).toBe('1');
  const budget = page.getByLabel('Budget');
  await budget.focus();
  await page.keyboard.press('End');
  expect(Number(await budget.inputValue())).toBe(20);

  await page.getByLabel('Prompt', { exact: true }).fill('How do I clean a pan?');
  await page.keyboard.press('Control+Enter');
  await done(page, 1);
  expect(await page.locator('.held').innerText()).toMatch(/floor held\s+1\.00/);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('an operator sees one prompt under three tenants, and who set which bound', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url, { colorScheme: 'dark' });
  await signIn(page, 'pk-demo-operator');
  await page.getByLabel('Prompt', { exact: true }).fill('كيف أنظف مقلاة؟ 🍳');
  await page.keyboard.press('Control+Enter');
  await done(page, 3);
  const held = await page.locator('.held').allInnerTexts();
  expect(new Set(held.map((each) => /floor held\s+(\S+)/.exec(each)?.[1])).size).toBeGreaterThan(1);
  await page.getByText('Who set which bound').last().click();
  const bounds = page.locator('.bounds');
  await bounds.waitFor();
  expect(await bounds.innerText()).toMatch(/tenant: /);
  expect(await seriousFindings(page)).toEqual([]);
  expect(faults).toEqual([]);
  await page.context().close();
});

test('the reading says where a ceiling and where the budget held', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const key = await keyUnder('low', { floor: 0, ceiling: 0.05, budget: 1 });
  const { page, faults } = await openPage(browser, stack.url);
  await signIn(page, key);
  await page.getByLabel('Prompt', { exact: true }).fill('How do I clean a pan?');
  await page.keyboard.press('Control+Enter');
  await done(page, 1);
  const said: string[] = [];
  const count = await page.getByRole('option', { name: /weight/ }).count();
  await page.locator('.tokens').focus();
  for (let at = 0; at < count; at++) {
    said.push(await page.locator('.gate-words').innerText());
    await page.keyboard.press('ArrowRight');
  }
  expect(said.some((words) => /The ceiling held/.test(words))).toBe(true);
  expect(said.some((words) => /budget capped this token/.test(words))).toBe(true);
  await pictured(page, 'ceiling.png');
  expect(await seriousFindings(page)).toEqual([]);
  expect(faults).toEqual([]);
  await page.context().close();
});

test.skipIf(noBrowser !== undefined).each([
  ['candidates', 'no-candidates', { floor: 0.3, budget: 20, shaping: { logprobs: false } }],
  ['numbers', 'no-numbers', { floor: 0.3, budget: 20, trace: 'summary' }],
])('where a policy keeps the tokens’ %s to itself, there is an answer all the same', async (what, id, policy) => {
  const key = await keyUnder(id, policy);
  const { page, faults } = await openPage(browser, stack.url);
  await signIn(page, key);
  await page.getByLabel('Prompt', { exact: true }).fill('How do I clean a pan?');
  await page.keyboard.press('Control+Enter');
  await done(page, 1);
  expect((await page.locator('.answer').innerText()).length).toBeGreaterThan(10);
  if (what === 'candidates') {
    await page.locator('.tokens').focus();
    await page.locator('.gate-words').waitFor();
    expect(await page.locator('.candidates').count()).toBe(0);
  } else {
    await page.getByText('keeps the tokens’ numbers to itself').waitFor();
  }
  expect(faults).toEqual([]);
  await page.context().close();
});

test('on a phone nothing is wider than the screen, and a lost edge is said', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page } = await openPage(browser, stack.url, { viewport: { width: 360, height: 740 } });
  await signIn(page, 'pk-demo-strict');
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
  await page.context().setOffline(true);
  await page.getByText('You are offline').waitFor();
  await page.getByLabel('Prompt', { exact: true }).fill('Hello');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByRole('alert').getByText('The edge cannot be reached').waitFor();
  // So is a session that could not be ended: its cookie is still there.
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.locator('.bar-notice').getByRole('alert').getByText('The edge cannot be reached').waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
  await pictured(page, 'sign-out.png');
  expect(await seriousFindings(page)).toEqual([]);
  await page.context().setOffline(false);
  await page.locator('.bar-notice').getByRole('button', { name: 'Try again' }).click();
  await page.getByLabel('API key').waitFor();
  await page.context().close();
});

test('an address that no page has is answered in words, and bounds are in the reader’s numbers', async ({ skip }) => {
  skip(noBrowser !== undefined, noBrowser);
  const { page, faults } = await openPage(browser, stack.url, { locale: 'de-DE' });
  await signIn(page, 'pk-demo-operator');
  await page.getByLabel('Prompt', { exact: true }).fill('How do I pick a lock?');
  await page.keyboard.press('Control+Enter');
  await done(page, 3);
  await page.getByText('Who set which bound').first().click();
  await page.locator('.bounds').first().waitFor();
  const floors = page.locator('.bounds').first().getByRole('row', { name: /floor/ });
  expect((await floors.allInnerTexts()).join('\n')).toMatch(/0,\d/);
  expect(await page.locator('.bounds').first().innerText()).not.toMatch(/\d[.,]\d{4}/);
  await pictured(page, 'bounds.png');
  await page.goto(`${stack.url}/console/tenants/%E0%A4%A`);
  await page.getByRole('alert').waitFor();
  await pictured(page, 'malformed.png');
  expect(faults).toEqual([]);
  await page.context().close();
});

/** A real browser, if this machine has one. Tests download none. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const PLACES = [
  process.env.PLIMSOLL_CHROMIUM ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const found = PLACES.find((place) => place !== '' && existsSync(place));

/** Why there is no browser; undefined if there is one. */
export const noBrowser =
  found === undefined ? 'SKIPPED: no Chromium here; PLIMSOLL_CHROMIUM says where one is' : undefined;

export function startBrowser(): Promise<Browser> {
  // Without a sandbox, because containers often have none, and it opens only our own pages.
  return chromium.launch({ executablePath: found ?? '', args: ['--no-sandbox'] });
}

const HANG_MS = 600_000;

export type OpenPage = {
  page: Page;
  /** What went wrong in the page, and what it asked elsewhere. Both should stay empty. */
  faults: string[];
};

/** A page of a browser that has never been here. */
export async function openPage(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  // For hangs alone.
  context.setDefaultTimeout(HANG_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', ({ message }) => faults.push(message));
  page.on('console', (said) => {
    // A refused call is told as an error by the browser. Tests make some on purpose.
    if (said.type() === 'error' && !/Failed to load resource/.test(said.text())) faults.push(said.text());
  });
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.origin !== origin && asked.protocol !== 'data:') faults.push(`asked ${asked.href}`);
  });
  return { page, faults };
}

/** A picture of the page, where `PLIMSOLL_SCREENSHOTS` names a folder for it. */
export async function pictured(page: Page, file: string): Promise<void> {
  const folder = process.env.PLIMSOLL_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: path.join(folder, file), fullPage: true });
}

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** What axe finds that is serious or worse, one line each. */
export async function seriousFindings(page: Page): Promise<string[]> {
  // As a debugger does it, so the page's policy does not forbid it.
  await page.evaluate(await readFile(axeFile, 'utf8'));
  return page.evaluate(async () => {
    // The cast: axe puts itself there.
    const { axe } = globalThis as unknown as { axe: { run: () => Promise<{ violations: Violation[] }> } };
    type Violation = { id: string; impact: string; nodes: { html: string; failureSummary: string }[] };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
  });
}

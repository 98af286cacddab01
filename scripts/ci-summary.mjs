/**
 *     node scripts/ci-summary.mjs REPORTS FAILED_STEP ...
 *
 * Says what failed, a line each, and then "N passed, N failed". REPORTS has each tier's JSON report
 * by vitest, and the lines of report-failures.ts in `<tier>.failures`. What could not be written
 * because a tier broke off still counts. It runs where nothing else of ours could be installed.
 */
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const [folder, ...failedSteps] = process.argv.slice(2);
const TIERS = ['unit', 'tests', 'heavy'];
const MOST_LINES = 20;
const MOST_CHARACTERS = 300;

/**
 * What vitest reported. Undefined if it did not run, or was killed before its report was whole.
 *
 * @param {string} tier
 * @returns {{ numPassedTests: number, numFailedTests: number, success: unknown } | undefined}
 */
function reportOf(tier) {
  try {
    const report = JSON.parse(readFileSync(`${folder}/${tier}`, 'utf8'));
    return Number.isInteger(report.numPassedTests) && Number.isInteger(report.numFailedTests) ? report : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A line for each failure that is known, without colours.
 *
 * @param {string} tier
 * @returns {string[]}
 */
function failuresOf(tier) {
  try {
    const lines = readFileSync(`${folder}/${tier}.failures`, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => toLine(tier, JSON.parse(line)));
  } catch {
    return [];
  }
}

/**
 * @param {string} tier
 * @param {{ file: string, name: string, message: string }} failure
 */
function toLine(tier, { file, name, message }) {
  const [first = ''] = stripVTControlCharacters(message).trim().split('\n');
  const said = [tier, file, name, first].filter((part) => part !== '').join(': ');
  return said.replace(/\s+/g, ' ').slice(0, MOST_CHARACTERS);
}

let passed = 0;
const otherSteps = failedSteps.filter((step) => !TIERS.includes(step));
// A step that is not a tier counts as one failure. So does a tier that fails without a failed test.
let failed = otherSteps.length;
const lines = otherSteps.map((step) => `${step}: its output is above`);
for (const tier of TIERS) {
  const report = reportOf(tier);
  const good = report !== undefined && report.success === true && !failedSteps.includes(tier);
  passed += report?.numPassedTests ?? 0;
  failed += Math.max(report?.numFailedTests ?? 0, good ? 0 : 1);
  if (good) continue;
  const known = failuresOf(tier);
  lines.push(...(known.length > 0 ? known : [`${tier}: it failed without saying what; its output is above`]));
}
if (passed === 0) failed = Math.max(failed, 1);
for (const line of lines.slice(0, MOST_LINES)) console.log(`--- failed: ${line}`);
if (lines.length > MOST_LINES) console.log(`--- failed: ${lines.length - MOST_LINES} more`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** `plimsoll receipt verify`: one verdict for each check, and one for the receipt. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { type Inspection, inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { whyNot } from '../options/why-not.ts';
import { CannotCheck } from './cannot-check.ts';
import { readKeys } from './read-keys.ts';
import { readReceipt } from './read-receipt.ts';

type Options = { jwks: string; prompt?: string; answer?: string; json: boolean };

export function verify(): Command {
  return new Command('verify')
    .description('say whether a receipt is genuine: exit code 0 if it is, 1 if not, 2 if that cannot be told')
    .argument('<receipt>', 'the token, or a file with it or with the whole answer; - reads from stdin')
    .requiredOption('--jwks <where>', 'the public keys: a file, or a URL such as that of the edge')
    .option('--prompt <file>', 'the request as it was sent (JSON): was it this one?')
    .option('--answer <file>', "the answer's text: was it this one?")
    .option('--json', 'print everything as JSON', false)
    .action(async (source: string, { jwks, json, ...files }: Options) => {
      const { token, answer, first } = await readReceipt(source);
      const found = await inspectReceipt(token, {
        jwks: await readKeys(jwks),
        prompt: files.prompt === undefined ? undefined : await readText(files.prompt),
        answer: files.answer === undefined ? answer : await readText(files.answer),
        first,
      });
      console.log(json ? JSON.stringify(found, null, 2) : inWords(found));
      if (!found.genuine) process.exitCode = 1;
    });
}

function inWords({ genuine, checks, signedAt }: Inspection): string {
  const rows = checks.map(({ name, verdict, detail }) => `${verdict.padEnd(11)}  ${name.padEnd(9)}  ${detail}`);
  const failed = checks.filter(({ verdict }) => verdict === 'fails').map(({ name }) => name);
  return [...rows, genuine ? `genuine, signed ${signedAt}` : `NOT GENUINE: ${failed.join(', ')}`].join('\n');
}

function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CannotCheck(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
}

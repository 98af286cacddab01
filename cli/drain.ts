/** `plimsoll drain`: tells one backend to take nothing new, or to take new requests again. */
import { Command } from 'commander';
import * as z from 'zod';
import { directiveKey } from '#shared/protocol/directive.ts';
import { drainKey, signDrainOrder } from '#shared/protocol/drain-order.ts';

const TIMEOUT_MS = 10_000;
const Health = z.object({ backend: z.string(), status: z.string(), running: z.int(), waiting: z.int() });

export function drainCommand(): Command {
  return new Command('drain')
    .description('tell a backend to take nothing new and finish what it has')
    .argument('<url>', "the backend's URL, as in http://127.0.0.1:8788")
    .option('--undo', 'let it take new requests again')
    .addHelpText(
      'after',
      `
PLIMSOLL_DIRECTIVE_SECRET is required: the order is signed with it. A backend that an operator has drained at the edge
stays drained until that is taken back there; docs/operations.md says more.`,
    )
    .action(async (url: string, { undo = false }: { undo?: boolean }) => {
      try {
        console.log(
          await drain(url.replace(/\/+$/, ''), { drain: !undo, secret: process.env.PLIMSOLL_DIRECTIVE_SECRET }),
        );
      } catch (error) {
        const { message, cause } = error instanceof Error ? error : new Error(String(error));
        console.error(`plimsoll drain: ${message}${cause instanceof Error ? `: ${cause.message}` : ''}`);
        process.exitCode = 1;
      }
    });
}

/** Gives the order, and returns what to say about it. */
async function drain(url: string, { drain, secret = '' }: { drain: boolean; secret: string | undefined }) {
  if (secret === '') throw new Error('PLIMSOLL_DIRECTIVE_SECRET is not set; the order has to be signed with it');
  const key = await drainKey(directiveKey(secret));
  const { backend } = await healthOf(url);
  const token = await signDrainOrder({ id: crypto.randomUUID(), backend, drain }, key);
  const answer = await fetch(`${url}/drain`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`);
  const { status, running, waiting } = await healthOf(url);
  return `${backend}: ${status}, ${running} running, ${waiting} waiting`;
}

async function healthOf(url: string): Promise<z.infer<typeof Health>> {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const health = Health.safeParse(await answer.json().catch(() => null));
  if (!health.success) throw new Error(`found no backend of ours at ${url}`);
  return health.data;
}

/** The consumer of the usage queue: messages of accounts go to D1. */
import type { UsageDatabase } from '../objects/usage-database.ts';
import { logError, logInfo } from '../request/log.ts';
import type { UsageMessage } from './outbox.ts';
import { addUsage, forgetRequests } from './usage-table.ts';

/** The part of a batch that we use. */
type Batch = {
  messages: readonly { body: UsageMessage; attempts: number }[];
  retryAll(options?: { delaySeconds?: number }): void;
};

/**
 * Each further wait is twice as long, so the tries that wrangler.toml allows last for days.
 */
const FIRST_WAIT_SECONDS = 10;
const LONGEST_WAIT_SECONDS = 60 * 60;

let hasSaidNoDatabase = false;

export async function consumeUsage(batch: Batch, env: { USAGE_DB?: UsageDatabase }): Promise<void> {
  const { messages } = batch;
  if (env.USAGE_DB === undefined) {
    if (!hasSaidNoDatabase) logInfo({ event: 'usage-not-kept', because: 'the deployment has no database USAGE_DB' });
    hasSaidNoDatabase = true;
    return;
  }
  try {
    await addUsage(
      messages.map(({ body }) => body),
      env.USAGE_DB,
    );
  } catch (cause) {
    logError({ event: 'usage-not-written', messages: messages.length, cause });
    const tries = Math.max(...messages.map(({ attempts }) => attempts));
    batch.retryAll({ delaySeconds: Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (tries - 1)) });
    return;
  }
  // What is not dropped now is dropped after the next batch.
  await forgetRequests(env.USAGE_DB).catch((cause: unknown) => logError({ event: 'usage-not-forgotten', cause }));
}

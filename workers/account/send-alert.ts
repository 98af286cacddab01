/**
 * Sends an alert as a webhook, signed the way of Standard Webhooks
 * (https://www.standardwebhooks.com): headers `webhook-id`, `webhook-timestamp` and
 * `webhook-signature`. An alert that is sent again has the same id, so a receiver that took it
 * twice can tell.
 */
import { Webhook } from 'standardwebhooks';
import * as z from 'zod';
import { logError } from '../request/log.ts';
import type { Alert } from './alerts.ts';

const TIMEOUT_MS = 10_000;

const Settings = z.object({
  ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/ }),
  ALERT_WEBHOOK_SECRET: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, "'whsec_' and at least 24 bytes in base64"),
  ALERT_SHARES: z
    .string()
    .default('0.5,0.8,1')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.number().gt(0).max(1)).min(1)),
});

export type AlertEnv = { ALERT_WEBHOOK_URL?: string; ALERT_WEBHOOK_SECRET?: string; ALERT_SHARES?: string };
export type AlertSettings = { url: string; secret: string; shares: readonly number[] };

/** null if no webhook is set. One that is set wrongly is logged, and answers go on without it. */
export function readAlertSettings(env: AlertEnv): AlertSettings | null {
  if (env.ALERT_WEBHOOK_URL === undefined) return null;
  const settings = Settings.safeParse(env);
  if (settings.success) {
    const { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_SECRET: secret, ALERT_SHARES: shares } = settings.data;
    return { url, secret, shares };
  }
  const detail = settings.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  logError({ event: 'alerts-not-configured', detail });
  return null;
}

/** Throws if the receiver did not take it. */
export async function sendAlert(
  alert: Alert,
  { tenant, url, secret, fetch }: { tenant: string; fetch: typeof globalThis.fetch } & AlertSettings,
): Promise<void> {
  const { window, share, cap, set_by, settled, at } = alert;
  const id = `budget_${tenant}_${window}_${share}_${cap}`;
  const body = JSON.stringify({
    type: 'budget.share_reached',
    timestamp: new Date(at).toISOString(),
    data: { tenant, period: window.length === 7 ? 'month' : 'day', window, share, limit: cap, set_by, spent: settled },
  });
  const sentAt = new Date();
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, sentAt, body),
    },
    body,
    // A receiver that has moved is set anew, so that nobody can send alerts elsewhere.
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`the webhook answered with ${answer.status}`);
}

/**
 * Where spans go, by OpenTelemetry's own names. Edge and backend read the same ones.
 */
import * as z from 'zod';

/** As in `authorization=Bearer abc,x-team=edge`. */
export const OtlpHeaders = z.string().transform((text, context): Record<string, string> => {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  const headers: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at).trim();
    if (at < 1 || !/^[\w-]+$/.test(name)) {
      // Nothing of it is shown, because it may be a secret.
      context.addIssue({ code: 'custom', message: 'wanted name=value, separated by commas' });
      return z.NEVER;
    }
    headers[name] = pair.slice(at + 1).trim();
  }
  return headers;
});

/** The base URL of a collector. Traces go to `/v1/traces` below it. */
export const OtlpEndpoint = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''));

/**
 * Which share of the traces that begin here is sent. For those that a client began, it decides.
 */
export const TraceRatio = z.coerce.number().min(0).max(1);

export type OtlpSettings = {
  /** null: nothing is sent. Trace ids are passed on all the same. */
  endpoint: string | null;
  headers: Readonly<Record<string, string>>;
  ratio: number;
};

/**
 * A request of the edge, in its trace: a span by the edge's headers, the trace's id in each line of
 * the log, and at the end a line about the request, if that is wanted.
 */
import type { Context, MiddlewareHandler } from 'hono';
import { toPlimsollError } from '#shared/api/errors.ts';
import type { OtlpSettings } from '#shared/trace/otlp-settings.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { type Log, logAbout } from './log.ts';

type About = { request: string; tenant: string; key?: string };

export type TracedRequest = {
  /** Its lines have what is known of the request so far. */
  readonly log: Log;
  /** What the directive or the order says of it. */
  isFor(about: About): void;
  /** Call it once. @param outcome `ended`, `cancelled` or an error's code */
  over(outcome: string): void;
};

/** @param route the name of the span, and in the log of what was asked for */
export type BeginTraced = (route: string, header: (name: string) => string | undefined) => TracedRequest;

export function tracedRequests({
  otlp,
  backendId,
  logRequests,
  log,
}: {
  otlp: OtlpSettings;
  backendId: string;
  logRequests: boolean;
  log: Log;
}): BeginTraced {
  const tracing = createTracing({
    service: 'plimsoll-backend',
    otlp,
    fetch: globalThis.fetch,
    onFailure: (cause) => log('spans could not be sent', cause, { event: 'spans-not-sent', level: 'warn' }),
  });
  return (route, header) => {
    const { span } = tracing.begin(route, { header, attributes: { 'plimsoll.backend': backendId } });
    let about = logAbout(log, { trace: span.traceId });
    const beganAtMs = performance.now();
    return {
      get log() {
        return about;
      },
      isFor({ request, tenant, key }) {
        span.set({ 'plimsoll.request': request, 'plimsoll.tenant': tenant });
        about = logAbout(about, { request, tenant, ...(key !== undefined && { key }) });
      },
      over(outcome) {
        if (outcome !== 'ended') span.fail(outcome);
        span.end();
        if (!logRequests) return;
        const ms = Math.round(performance.now() - beganAtMs);
        about(`request: ${outcome}`, undefined, { event: 'request', route, outcome, ms });
      },
    };
  };
}

/** Where the request that a route serves is found. */
export type Traced = { Variables: { traced?: TracedRequest } };

/** For a route whose answer is whole when its handler is done. */
export function traceRoute(route: string, begin: BeginTraced): MiddlewareHandler<Traced> {
  return async (c, next) => {
    const traced = begin(route, (name) => c.req.header(name));
    c.set('traced', traced);
    await next();
    traced.over(c.error === undefined ? 'ended' : toPlimsollError(c.error).code);
  };
}

/** Tells the request's trace, if it has one, what the order is for. */
export function noteOrder(c: Context, { request, tenant }: { request: string; tenant: string }): void {
  // The cast: a route may be served by an app of another type.
  (c as Context<Traced>).get('traced')?.isFor({ request, tenant });
}

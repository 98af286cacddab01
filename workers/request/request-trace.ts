/**
 * The trace of a request: taken from the client's `traceparent`, or begun here. Its id is in the
 * log, and goes on to the backend. It also writes one line about each request, if that is wanted.
 */
import { createTracing, type Tracing } from '#shared/trace/tracing.ts';
import type { Config } from './config.ts';
import type { Middleware } from './context.ts';
import { logInfo, logWarning } from './log.ts';

/** A collector that is down fails for every request. One line a minute says so. */
const COMPLAIN_EVERY_MS = 60_000;

export function requestTrace(): Middleware {
  const known = new WeakMap<Config, Tracing>();
  const tracingOf = (config: Config): Tracing => {
    const tracing = known.get(config) ?? tracingFor(config);
    known.set(config, tracing);
    return tracing;
  };
  return async function requestTrace(c, next) {
    const { config, requestId } = c.var;
    const { method } = c.req;
    const trace = tracingOf(config).begin(method, {
      header: (name) => c.req.header(name),
      attributes: { 'http.request.method': method, 'plimsoll.request': requestId },
    });
    c.set('trace', trace);
    const beganAtMs = Date.now();
    try {
      await next();
    } finally {
      const { status } = c.res;
      // Set only on routes that ask for a key, whatever the type of this context says.
      const caller = (c.var as { caller?: { tenant: string; key: string } }).caller;
      const about = { ...(caller && { tenant: caller.tenant, key: caller.key }) };
      trace.span.set({
        'http.response.status_code': status,
        ...(caller && { 'plimsoll.tenant': caller.tenant, 'plimsoll.key': caller.key }),
      });
      if (status >= 500) trace.span.fail(String(status));
      trace.span.end();
      if (config.otlp.endpoint !== null) c.executionCtx.waitUntil(trace.sent);
      if (config.logRequests) {
        const ms = Date.now() - beganAtMs;
        logInfo({ event: 'request', request: requestId, trace: trace.span.traceId, ...about, method, status, ms });
      }
    }
  };
}

function tracingFor({ otlp }: Config): Tracing {
  let complainedAtMs = 0;
  return createTracing({
    service: 'plimsoll-edge',
    otlp,
    fetch: (input, init) => fetch(input, init),
    onFailure: (cause) => {
      if (Date.now() - complainedAtMs < COMPLAIN_EVERY_MS) return;
      complainedAtMs = Date.now();
      logWarning({ event: 'spans-not-sent', cause: cause instanceof Error ? cause.message : String(cause) });
    },
  });
}

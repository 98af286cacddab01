/**
 * A request's spans. OpenTelemetry's SDK makes and writes them; its processors and exporters are
 * left out, because their timers and globals do not outlive a request of a Worker. So each request
 * keeps its own spans, and sends them in one piece when the last has ended.
 *
 * No attribute may hold prompts, answers or keys.
 */
import { type Attributes, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  ParentBasedSampler,
  RandomIdGenerator,
  type ReadableSpan,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { OtlpSettings } from './otlp-settings.ts';

/** How long a collector may take. Nobody waits for it, but a Worker's request has to end. */
const SEND_TIMEOUT_MS = 5_000;
const SAMPLED = 1;

type TracedSpan = {
  /** 32 hex digits. All spans of a request have the same, on edge and backend. */
  readonly traceId: string;
  /** `traceparent`, and `tracestate` if the client sent one, for whoever is asked next. */
  readonly headers: Readonly<Record<string, string>>;
  set(attributes: Attributes): void;
  /** @param code one of our error codes */
  fail(code: string): void;
  /** Ending it again does nothing. */
  end(): void;
};

export type RequestTrace = {
  /** The whole request, as this side sees it. */
  readonly span: TracedSpan;
  /**
   * Nothing is sent before the returned function is called. Call it at the end of an answer that
   * goes on after the request's own span has ended. Calling it again does nothing.
   */
  hold(): () => void;
  /** A call to somebody else, within the request. */
  call(name: string, attributes: Attributes): TracedSpan;
  /** Settles when every span has ended and was sent. It never rejects. */
  readonly sent: Promise<void>;
};

export type Tracing = {
  /** @param header reads a header of the request */
  begin(name: string, options: { header: (name: string) => string | undefined; attributes?: Attributes }): RequestTrace;
};

export function createTracing({
  service,
  otlp: { endpoint, headers, ratio },
  fetch,
  onFailure,
}: {
  service: string;
  otlp: OtlpSettings;
  fetch: typeof globalThis.fetch;
  /** Called if spans could not be sent. */
  onFailure: (cause: unknown) => void;
}): Tracing {
  const propagator = new W3CTraceContextPropagator();
  const ids = new RandomIdGenerator();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
  });
  const tracer = provider.getTracer('plimsoll');

  async function send(spans: readonly ReadableSpan[]): Promise<void> {
    if (endpoint === null || spans.length === 0) return;
    try {
      const response = await fetch(`${endpoint}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        // The serializer only reads the list.
        body: JsonTraceSerializer.serializeRequest(spans as ReadableSpan[]) as Uint8Array<ArrayBuffer>,
        signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the collector answered ${response.status}`);
    } catch (cause) {
      onFailure(cause);
    }
  }

  return {
    begin(name, { header, attributes = {} }) {
      const parent = propagator.extract(ROOT_CONTEXT, null, {
        get: (_carrier, key) => header(key),
        keys: () => propagator.fields(),
      });
      const ended: ReadableSpan[] = [];
      let running = 0;
      const over = Promise.withResolvers<void>();
      const hold = () => {
        running++;
        let isOver = false;
        return () => {
          if (isOver) return;
          isOver = true;
          running--;
          if (running === 0) over.resolve();
        };
      };

      const start = (spanName: string, kind: SpanKind, about: Attributes, from: typeof parent) => {
        const span =
          endpoint === null ? unrecorded(from) : tracer.startSpan(spanName, { kind, attributes: about }, from);
        const within = trace.setSpan(from, span);
        const sent: Record<string, string> = {};
        propagator.inject(within, sent, {
          set(carrier: typeof sent, key, value) {
            carrier[key] = value;
          },
        });
        const release = hold();
        const traced: TracedSpan = {
          traceId: span.spanContext().traceId,
          headers: sent,
          set: (more) => void span.setAttributes(more),
          fail: (code) => {
            span.setAttribute('error.type', code);
            span.setStatus({ code: SpanStatusCode.ERROR, message: code });
          },
          end: () => {
            // The cast: the SDK's spans can be read, though the API's type does not say so.
            if (span.isRecording()) ended.push(span as unknown as ReadableSpan);
            span.end();
            release();
          },
        };
        return { traced, within };
      };

      const { traced: span, within } = start(name, SpanKind.SERVER, attributes, parent);
      return {
        span,
        hold,
        call: (spanName, about) => start(spanName, SpanKind.CLIENT, about, within).traced,
        sent: over.promise.then(() => send(ended)),
      };
    },
  };

  /** Only ids: a new one for this side, in the client's trace or in a new one. */
  function unrecorded(from: Parameters<typeof trace.getSpanContext>[0]): Span {
    const known = trace.getSpanContext(from);
    return trace.wrapSpanContext({
      traceId: known?.traceId ?? ids.generateTraceId(),
      spanId: ids.generateSpanId(),
      traceFlags: known?.traceFlags ?? SAMPLED,
      ...(known?.traceState && { traceState: known.traceState }),
    });
  }
}

/**
 * What wrangler.toml binds, and the settings that a deployment adds. The settings are optional in
 * this type because somebody may forget one.
 */
import type { LiveTrafficBinding } from '../objects/live-traffic-contract.ts';
import type { PoolDirectoryBinding } from '../objects/pool-contract.ts';
import type { TenantAccountBinding } from '../objects/tenant-account-contract.ts';
import type { TenantIndexBinding, TenantObjectBinding } from '../objects/tenant-contracts.ts';
import type { TenantResponsesBinding } from '../objects/tenant-responses-contract.ts';
import type { TenantTrafficBinding } from '../objects/tenant-traffic-contract.ts';
import type { UsageDatabase } from '../objects/usage-database.ts';

export type Env = TenantIndexBinding &
  TenantObjectBinding &
  TenantAccountBinding &
  TenantTrafficBinding &
  LiveTrafficBinding &
  TenantResponsesBinding &
  PoolDirectoryBinding & {
    /** The part of a KV namespace that we use. */
    TENANT_SNAPSHOTS: {
      get(name: string, type: 'json'): Promise<unknown>;
      put(name: string, value: string, options: { expirationTtl: number }): Promise<void>;
      delete(name: string): Promise<void>;
    };
    /** The console's files. If it is not bound, there is no console. */
    ASSETS?: { fetch(url: URL): Promise<Response> };
    /** If it is not bound, no usage is kept. */
    USAGE_DB?: UsageDatabase;
    BACKENDS?: string;
    /** Backends of the helpfulness pool that need not be trusted with anything else. */
    HELPFULNESS_BACKENDS?: string;
    /** 'on' lets backends register themselves, beside those in BACKENDS or in their place. */
    POOL_REGISTRATION?: string;
    DIRECTIVE_SECRET?: string;
    RECEIPT_JWKS?: string;
    /** Signs the edge's own receipts. If it is not set, there are none. */
    EDGE_RECEIPT_JWK?: string;
    OPERATOR_KEY_SHA256?: string;
    /** How many tokens a row has where the edge mixes experts itself, or `all`. */
    EDGE_MIXING_TOP_K?: string;
    /** How many positions an expert may run ahead then. */
    EDGE_MIXING_AHEAD?: string;
    /** Origins whose pages may call the API, by commas; `loopback`; `*`. Not set: none. */
    CORS_ORIGINS?: string;
    /** `1`: the log has a line about each request. */
    LOG_REQUESTS?: string;
    /** Where spans go, by OpenTelemetry's names. If there is no endpoint, they go nowhere. */
    OTEL_EXPORTER_OTLP_ENDPOINT?: string;
    OTEL_EXPORTER_OTLP_HEADERS?: string;
    OTEL_TRACES_SAMPLER_ARG?: string;
    /**
     * The only host names that are served, separated by commas and in lower case. If it is not set,
     * every name is served.
     */
    HOST_NAMES?: string;
    /**
     * Keys that everybody may know, separated by commas, for the front page. Only a local stack has
     * any.
     */
    DEMO_KEYS?: string;
  };

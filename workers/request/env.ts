/** What wrangler.toml binds, and the settings a deployment adds; the settings are optional here because one may be forgotten. */
import type { TenantStore } from '../objects/tenant-store.ts';

export type Env = {
  TENANT_STORE: DurableObjectNamespace<TenantStore>;
  TENANT_SNAPSHOTS: KVNamespace;
  BACKENDS?: string;
  DIRECTIVE_SECRET?: string;
  RECEIPT_JWKS?: string;
  OPERATOR_KEY_SHA256?: string;
  /** By commas, in small letters: the only host names that are served. Any, where it is not set. */
  HOST_NAMES?: string;
  /** By commas: keys that everybody may know, for the front page. Only a local stack has any. */
  DEMO_KEYS?: string;
};

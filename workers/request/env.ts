/** What wrangler.toml binds, and the settings a deployment adds; the settings are optional here because one may be forgotten. */
import type { TenantStoreBinding } from '../objects/tenant-store-contract.ts';

export type Env = TenantStoreBinding & {
  /** Of a KV namespace, what is used. */
  TENANT_SNAPSHOTS: {
    get(name: string, type: 'json'): Promise<unknown>;
    put(name: string, value: string, options: { expirationTtl: number }): Promise<void>;
    delete(name: string): Promise<void>;
  };
  BACKENDS?: string;
  DIRECTIVE_SECRET?: string;
  RECEIPT_JWKS?: string;
  OPERATOR_KEY_SHA256?: string;
  /** By commas, in small letters: the only host names that are served. Any, where it is not set. */
  HOST_NAMES?: string;
  /** By commas: keys that everybody may know, for the front page. Only a local stack has any. */
  DEMO_KEYS?: string;
};

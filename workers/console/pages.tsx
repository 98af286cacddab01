/** The pages, in the order of the bar, and for whom each is. */
import type { ComponentType } from 'preact';
import { may, type SessionAnswer } from './net/session.tsx';
import { later } from './parts/later.tsx';
import { Playground } from './playground/playground.tsx';

type PageProps = { path: string[] };

export type Page = {
  name: string;
  title: string;
  isFor: (session: SessionAnswer) => boolean;
  Page: ComponentType<PageProps>;
};

const isOperator = ({ kind }: SessionAnswer) => kind === 'operator';

export const PAGES: readonly Page[] = [
  { name: 'playground', title: 'Playground', isFor: (session) => may(session, 'inference'), Page: Playground },
  {
    name: 'tenants',
    title: 'Tenants and keys',
    isFor: (session) => may(session, 'read'),
    Page: later<PageProps>(async () => (await import('./tenants/tenants.tsx')).TenantsPage),
  },
  {
    name: 'policies',
    title: 'Policies',
    isFor: (session) => may(session, 'read'),
    Page: later<PageProps>(async () => (await import('./policies/policies.tsx')).PoliciesPage),
  },
  {
    name: 'plans',
    title: 'Plans',
    isFor: isOperator,
    Page: later<PageProps>(async () => (await import('./tenants/plans.tsx')).PlansPage),
  },
  {
    name: 'traffic',
    title: 'Traffic',
    isFor: (session) => may(session, 'read'),
    Page: later<PageProps>(async () => (await import('./traffic/traffic.tsx')).TrafficPage),
  },
  {
    name: 'usage',
    title: 'Usage',
    isFor: (session) => may(session, 'read'),
    Page: later<PageProps>(async () => (await import('./operations/usage.tsx')).UsagePage),
  },
  {
    name: 'pool',
    title: 'Pool',
    isFor: isOperator,
    Page: later<PageProps>(async () => (await import('./operations/pool.tsx')).PoolPage),
  },
  {
    name: 'audit',
    title: 'Audit',
    isFor: (session) => may(session, 'read'),
    Page: later<PageProps>(async () => (await import('./operations/audit.tsx')).AuditPage),
  },
];

/** The routes for operators, and for tenants about themselves. */
import * as z from 'zod';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { ChatRequest } from '#shared/api/chat-request.ts';
import {
  AuditAnswer,
  AuditVerdictAnswer,
  DiffAnswer,
  DraftAnswer,
  HistoryAnswer,
  KeyAnswer,
  listOf,
  NewKeyAnswer,
  PlanAnswer,
  PolicyAnswer,
  RotationAnswer,
  TenantAnswer,
  TenantPutAnswer,
} from '../control/admin-answers.ts';
import { BackupLine, ImportAnswer } from '../control/backup-lines.ts';
import { BudgetsAnswer } from '../control/budgets.ts';
import { ExplainAnswer, ExplainBody } from '../control/explain.ts';
import { PolicyTestsAnswer } from '../control/policy-tests.ts';
import { DrainAnswer, DrainBody, PoolAnswer } from '../control/pool.ts';
import { ReplayAnswer, ReplayBody } from '../control/replay.ts';
import { AuditPage, DeleteTenant, DiffQuery, KeptPage, KnownHead, TenantPage } from '../control/request-parts.ts';
import { KeptPrompt, SamplesErased } from '../control/samples.ts';
import { TenantTrafficQuery, TrafficAnswer, TrafficQuery } from '../control/traffic.ts';
import { TenantUsageQuery, UsageAnswer, UsageQuery } from '../control/usage.ts';
import { ScoreBody, ScoreReport } from '../gateway/score.ts';
import {
  Activation,
  Fate,
  NewKey,
  NewPolicy,
  NewTenant,
  PlanDocument,
  Rotation,
  Suspension,
  TenantChanges,
  TenantDocument,
} from '../objects/tenant-record.ts';
import { json, type Operations } from './operation.ts';

const Deleted = z.strictObject({ id: z.string(), deleted: z.literal(true) });
const TENANT = '/admin/v1/tenants/:id';

export const CONTROL_PLANE: Operations = {
  'GET /admin/v1/tenants': {
    summary: 'A page of tenants, in the order of their ids',
    access: 'operator',
    query: TenantPage,
    answers: json(listOf(TenantAnswer).extend({ has_more: z.boolean(), last_id: z.string().nullable() })),
  },
  'POST /admin/v1/tenants': {
    summary: 'Make a tenant',
    access: 'operator',
    body: NewTenant,
    status: 201,
    answers: json(TenantAnswer),
  },
  [`GET ${TENANT}`]: { summary: 'A tenant', access: 'read', answers: json(TenantAnswer) },
  [`PUT ${TENANT}`]: {
    summary: 'Make a tenant, or replace it as a whole, keys included',
    access: 'operator',
    body: TenantDocument,
    ifMatch: 'taken',
    answers: json(TenantPutAnswer),
  },
  [`PATCH ${TENANT}`]: {
    summary: 'Change a tenant’s name or plan',
    access: 'operator',
    body: TenantChanges,
    ifMatch: 'demanded',
    answers: json(TenantAnswer),
  },
  [`DELETE ${TENANT}`]: {
    summary: 'Delete a tenant, and keep or erase its policies and its audit log',
    access: 'operator',
    query: DeleteTenant,
    ifMatch: 'demanded',
    answers: json(Deleted.extend({ data: Fate })),
  },
  [`POST ${TENANT}/suspend`]: {
    summary: 'Refuse all of a tenant’s keys',
    access: 'operator',
    body: Suspension,
    answers: json(TenantAnswer),
  },
  [`POST ${TENANT}/resume`]: {
    summary: 'Let a suspended tenant in again',
    access: 'operator',
    answers: json(TenantAnswer),
  },
  [`GET ${TENANT}/keys`]: { summary: 'A tenant’s keys', access: 'read', answers: json(listOf(KeyAnswer)) },
  [`POST ${TENANT}/keys`]: {
    summary: 'Make a key. It is shown only in this answer',
    access: 'admin',
    body: NewKey,
    status: 201,
    answers: json(NewKeyAnswer),
  },
  [`POST ${TENANT}/keys/:key/rotate`]: {
    summary: 'Make a key in place of another, which goes on working for a while',
    access: 'admin',
    body: Rotation,
    status: 201,
    answers: json(RotationAnswer),
  },
  [`DELETE ${TENANT}/keys/:key`]: { summary: 'Revoke a key', access: 'admin', answers: json(Deleted) },
  [`GET ${TENANT}/policies`]: {
    summary: 'Which versions there are, and when which was active',
    access: 'read',
    answers: json(HistoryAnswer),
  },
  [`POST ${TENANT}/policies`]: {
    summary: 'Store a version that decides nothing yet',
    access: 'admin',
    body: NewPolicy,
    status: 201,
    answers: json(DraftAnswer),
  },
  [`GET ${TENANT}/policies/:version`]: { summary: 'A version', access: 'read', answers: json(PolicyAnswer) },
  [`GET ${TENANT}/policies/:version/diff`]: {
    summary: 'What sets a version apart from another, and whether each change tightens or loosens',
    access: 'read',
    query: DiffQuery,
    answers: json(DiffAnswer),
  },
  [`POST ${TENANT}/policies/:version/activate`]: {
    summary: 'Make a version the active one, or a canary for a share of the requests',
    access: 'admin',
    body: Activation,
    ifMatch: 'demanded',
    answers: json(TenantAnswer),
  },
  [`POST ${TENANT}/policies/:version/test`]: {
    summary: 'Run a version’s own tests, under the levels above it, as its activation would',
    access: 'admin',
    answers: json(PolicyTestsAnswer),
  },
  [`POST ${TENANT}/policies/:version/try`]: {
    summary: 'Answer a chat request under a version that need not be active. It costs the tenant tokens',
    access: 'spend',
    body: ChatRequest,
    answers: { ...json(ChatCompletion), 'text/event-stream': ChatCompletionChunk },
  },
  [`POST ${TENANT}/policies/:version/explain`]: {
    summary: 'Why a prompt gets the line it gets under a version: what fires, and which level sets each bound',
    access: 'admin',
    body: ExplainBody,
    answers: json(ExplainAnswer),
  },
  [`POST ${TENANT}/policies/:version/replay`]: {
    summary: 'The first token of a stored answer at which a version could have made a difference',
    access: 'admin',
    body: ReplayBody,
    answers: json(ReplayAnswer),
  },
  [`POST ${TENANT}/score`]: {
    summary: 'What a model’s reward and cost heads make of an answer. It costs the tenant tokens',
    access: 'spend',
    body: ScoreBody,
    answers: json(ScoreReport),
  },
  [`POST ${TENANT}/rollback`]: {
    summary: 'End a canary; without one, go back to the version before',
    access: 'admin',
    ifMatch: 'demanded',
    answers: json(TenantAnswer),
  },
  [`GET ${TENANT}/audit`]: {
    summary: 'A tenant’s audit log, newest first',
    access: 'read',
    query: AuditPage,
    answers: json(listOf(AuditAnswer)),
  },
  [`GET ${TENANT}/audit/verify`]: {
    summary: 'Whether a tenant’s audit log is whole',
    access: 'read',
    answers: json(AuditVerdictAnswer),
  },
  [`GET ${TENANT}/usage`]: {
    summary: 'What a tenant has spent, by day, key and model',
    access: 'read',
    query: TenantUsageQuery,
    answers: { ...json(UsageAnswer), 'text/csv': null },
  },
  [`GET ${TENANT}/budgets`]: {
    summary: 'What a tenant may spend, how much of that is left, and which alerts were sent',
    access: 'read',
    answers: json(BudgetsAnswer),
  },
  [`GET ${TENANT}/traffic`]: {
    summary: 'A tenant’s latest requests, without anything of what was said',
    access: 'read',
    query: TenantTrafficQuery,
    answers: json(TrafficAnswer),
  },
  [`GET ${TENANT}/samples`]: {
    summary: 'The prompts that the tenant lets the edge keep, newest first. The audit log tells that they were read',
    access: 'prompts',
    query: KeptPage,
    answers: { 'application/x-ndjson': KeptPrompt },
  },
  [`DELETE ${TENANT}/samples`]: {
    summary: 'Erase the prompts that were kept',
    access: 'prompts',
    answers: json(SamplesErased),
  },
  'GET /admin/v1/plans': { summary: 'All plans', access: 'operator', answers: json(listOf(PlanAnswer)) },
  'GET /admin/v1/plans/:id': { summary: 'A plan', access: 'operator', answers: json(PlanAnswer) },
  'PUT /admin/v1/plans/:id': {
    summary: 'Make a plan, or replace it',
    access: 'operator',
    body: PlanDocument,
    ifMatch: 'demanded',
    answers: json(PlanAnswer),
  },
  'DELETE /admin/v1/plans/:id': {
    summary: 'Delete a plan that no tenant has',
    access: 'operator',
    ifMatch: 'demanded',
    answers: json(Deleted),
  },
  'GET /admin/v1/audit': {
    summary: 'The audit log of the deployment, newest first',
    access: 'operator',
    query: AuditPage,
    answers: json(listOf(AuditAnswer)),
  },
  'GET /admin/v1/audit/verify': {
    summary: 'Whether the audit log of the deployment is whole, and still has an entry that was noted',
    access: 'operator',
    query: KnownHead,
    answers: json(AuditVerdictAnswer),
  },
  'GET /admin/v1/usage': {
    summary: 'What tenants have spent, by day, tenant, key and model',
    access: 'operator',
    query: UsageQuery,
    answers: { ...json(UsageAnswer), 'text/csv': null },
  },
  'GET /admin/v1/traffic': {
    summary: 'The latest requests of all tenants, or of one, without anything of what was said',
    access: 'operator',
    query: TrafficQuery,
    answers: json(TrafficAnswer),
  },
  'GET /admin/v1/metrics': {
    summary: 'Counts of requests and the state of each backend, in Prometheus’ text format',
    access: 'operator',
    answers: { 'text/plain': z.string() },
  },
  'GET /admin/v1/pool': { summary: 'The backends and how they are', access: 'operator', answers: json(PoolAnswer) },
  'POST /admin/v1/pool/drain': {
    summary: 'Send a backend nothing new',
    access: 'operator',
    body: DrainBody,
    answers: json(DrainAnswer),
  },
  'POST /admin/v1/pool/undrain': {
    summary: 'Send a drained backend requests again',
    access: 'operator',
    body: DrainBody,
    answers: json(DrainAnswer),
  },
  'GET /admin/v1/export': {
    summary: 'All plans and tenants as JSON Lines, for a backup',
    access: 'operator',
    answers: { 'application/x-ndjson': BackupLine },
  },
  'POST /admin/v1/import': {
    summary: 'Restore what an export holds. Doing it again changes nothing',
    access: 'operator',
    body: BackupLine,
    bodyType: 'application/x-ndjson',
    answers: json(ImportAnswer),
  },
};

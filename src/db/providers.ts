// Providers of machines, as they are stored.
import { type StoredProvider, storedProviderSchema } from "../contract/fleet.ts";
import { bound, type Database, statement } from "./statement.ts";

type Row = { readonly offers: string; readonly isDefault: number };

/** Null: there is none with this id. */
export async function findProvider(db: Database, providerId: string): Promise<StoredProvider | null> {
  const sql = `SELECT id, tenant_id AS tenantId, name, kind, url, sealed_credential AS sealedCredential, offers,
    is_default AS isDefault, version, created_at AS createdAtMs FROM providers WHERE id = ?`;
  const row = await bound(db, statement(sql, providerId)).first<Row>();
  if (row === null) return null;
  return storedProviderSchema.parse({ ...row, offers: JSON.parse(row.offers), isDefault: row.isDefault === 1 });
}

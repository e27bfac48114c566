-- AlterTable
ALTER TABLE "approvals" ADD COLUMN     "is_changed" BOOLEAN NOT NULL DEFAULT false;

-- Whether an approval has shown another payload before: when it is asked anew under its id, and when somebody edits it.
CREATE OR REPLACE FUNCTION project_approval(p_id text, p_tenant text, e jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  d jsonb := e -> 'data';
  v_step text := e ->> 'step';
  v_time timestamptz := to_timestamp((e ->> 'time')::float8 / 1000);
  v_is_changed boolean;
BEGIN
  CASE e ->> 'type'
  WHEN 'approval.requested' THEN
    -- Asked again it is a question of its own: nothing of the one before stays, but that somebody may have seen it.
    DELETE FROM approvals WHERE id = d ->> 'id' RETURNING is_changed OR payload_hash <> d ->> 'payloadHash' INTO v_is_changed;
    INSERT INTO approvals (id, run_id, tenant, step_path, title, payload, payload_hash, is_changed, assignees, quorum, editable, form, status, expires_at, asked_at)
    VALUES (d ->> 'id', p_id, p_tenant, v_step, d ->> 'title', d -> 'payload', d ->> 'payloadHash', coalesce(v_is_changed, false),
            ARRAY(SELECT jsonb_array_elements_text(d -> 'assignees')), (d ->> 'quorum')::int,
            coalesce((d ->> 'editable')::boolean, false), d -> 'form', 'pending', (d ->> 'expiresAt')::timestamptz, v_time);
  WHEN 'approval.voted' THEN
    UPDATE approvals SET votes = d -> 'votes', payload = coalesce(d -> 'payload', payload), payload_hash = d ->> 'payloadHash',
      is_changed = is_changed OR payload_hash <> d ->> 'payloadHash'
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.escalated' THEN
    UPDATE approvals SET escalated_at = v_time, assignees = ARRAY(SELECT jsonb_array_elements_text(d -> 'assignees'))
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.decided' THEN
    UPDATE approvals SET status = d ->> 'decision', decided_at = v_time, decided_by = d ->> 'by', comment = d ->> 'comment', data = d -> 'data'
    WHERE run_id = p_id AND step_path = v_step;
  WHEN 'approval.expired' THEN
    UPDATE approvals SET status = 'expired', decided_at = v_time WHERE run_id = p_id AND step_path = v_step;
  ELSE
    NULL;
  END CASE;
END $$;

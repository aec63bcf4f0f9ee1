-- The numbers of 64 bits that a vector was given with; null: they are those of the vector.
ALTER TABLE vectors ADD COLUMN given BYTEA;

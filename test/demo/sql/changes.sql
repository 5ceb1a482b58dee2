-- What happens while the stream runs; several transactions.
insert into fundrecs_schema.customers values
    (2001, 'Ní Dhubhghaill & Co', 'office@example.org', 250000.00, '2026-11-21 08:14:07.123456', null),
    (2002, 'No address', null, null, '2026-11-21 08:15:00', null);

begin;
insert into fundrecs_schema.orders
select i, 1 + i % 2002, 'LU00' || lpad(i::text, 8, '0'), 1.5, 89.20, 'EUR',
    timestamptz '2026-11-21 08:00+00', null, null
from generate_series(20001, 22000) i;
update fundrecs_schema.customers set credit_limit = credit_limit * 1.05 where customer_id <= 500;
delete from fundrecs_schema.orders where order_id between 100 and 199;
commit;

begin;
insert into countries (cca3, name) values ('XKX', 'Kosovo');
savepoint second_thoughts;
delete from countries;
rollback to savepoint second_thoughts;
update countries set population = population + 1, updated_at = now() where region = 'Europe';
commit;

update delivery.orders set delivered_at = '2026-11-21 09:00+00', weight_kg = 'NaN' where order_id % 100 = 1;
update delivery.orders set address = null, stops = '{}' where order_id % 100 = 2;
delete from delivery.orders where order_id % 100 = 3;

-- A wide value that does not change is not sent; the target keeps its own.
update documents set revision = 2, title = title || ', second edition' where id <= 30;
update documents set body = 'withdrawn' where id between 31 and 35;

-- A key changes, and moves to where another row was.
update fundrecs_schema.customers set customer_id = 9001 where customer_id = 1;
update documents set id = id + 1000 where id > 50;
begin;
delete from documents where id = 10;
update documents set id = 10 where id = 11;
commit;

-- A table is emptied and filled again.
begin;
truncate stock_take;
insert into stock_take select 'item ' || i, i * 5 from generate_series(250, 300) i;
commit;
update stock_take set counted = counted + 1 where item = 'item 260';

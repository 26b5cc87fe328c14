//go:build cgo

package query

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unsafe"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	slipway "github.com/slipway-ml/slipway"
)

// linked says that this binary can be its own query worker.
const linked = true

// duck is one DuckDB in memory with one connection. A request gets a fresh one,
// because what a DuckDB may open cannot be changed once it is locked.
type duck struct {
	db   duckdb.Database
	conn duckdb.Connection
}

// openDuck starts a DuckDB with the given settings.
func openDuck(settings map[string]string) (*duck, error) {
	var config duckdb.Config
	if duckdb.CreateConfig(&config) != duckdb.StateSuccess {
		return nil, errors.New("duckdb: create configuration")
	}
	defer duckdb.DestroyConfig(&config)
	for name, value := range settings {
		if duckdb.SetConfig(config, name, value) != duckdb.StateSuccess {
			return nil, slipway.Errorf(slipway.Invalid, "the query engine does not accept %s = %q", name, value)
		}
	}
	d := &duck{}
	var message string
	if duckdb.OpenExt(":memory:", &d.db, config, &message) != duckdb.StateSuccess {
		return nil, duckError(message)
	}
	if duckdb.Connect(d.db, &d.conn) != duckdb.StateSuccess {
		duckdb.Close(&d.db)
		return nil, errors.New("duckdb: connect")
	}
	return d, nil
}

func (d *duck) close() {
	duckdb.Disconnect(&d.conn)
	duckdb.Close(&d.db)
}

// exec runs a statement of our own and returns how many rows it changed.
func (d *duck) exec(sql string, params ...Param) (int64, error) {
	var changed int64
	err := d.run(sql, params, func(res *duckdb.Result) error {
		changed = int64(duckdb.RowsChanged(res))
		for {
			chunk := duckdb.FetchChunk(*res)
			if chunk.Ptr == nil {
				break
			}
			if changed == 0 && duckdb.DataChunkGetColumnCount(chunk) == 1 && duckdb.ColumnType(res, 0) == duckdb.TypeBigInt {
				changed = newVector(chunk, 0, slipway.Int).ints[0]
			}
			duckdb.DestroyDataChunk(&chunk)
		}
		return resultError(res)
	})
	return changed, err
}

// describe prepares sql without running it and returns the columns it would
// give. It refuses whatever is not a query: a worker may read its tables and
// write its one output, nothing else.
func (d *duck) describe(sql string, params []Param) ([]column, error) {
	var stmt duckdb.PreparedStatement
	state := duckdb.Prepare(d.conn, sql, &stmt)
	defer duckdb.DestroyPrepare(&stmt)
	if state != duckdb.StateSuccess {
		return nil, duckError(duckdb.PrepareError(stmt))
	}
	if duckdb.PreparedStatementType(stmt) != duckdb.StatementTypeSelect {
		return nil, slipway.Errorf(slipway.Invalid, "the SQL is not a query").WithHint("write one SELECT statement; the tables are given beside it")
	}
	if n := int(duckdb.NParams(stmt)); n != len(params) {
		return nil, slipway.Errorf(slipway.Invalid, "the SQL has %d parameters but %d values were given", n, len(params))
	}
	out := make([]column, duckdb.PreparedStatementColumnCount(stmt))
	for i := range out {
		t := duckdb.PreparedStatementColumnLogicalType(stmt, duckdb.IdxT(i))
		out[i] = column{name: duckdb.PreparedStatementColumnName(stmt, duckdb.IdxT(i)), duck: typeOf(t)}
		duckdb.DestroyLogicalType(&t)
	}
	return out, nil
}

// stream runs a query and hands over its rows as DuckDB makes them, at most
// 2,048 at a time. The vectors are valid only during the call.
func (d *duck) stream(sql string, params []Param, types []slipway.Type, emit func(rows int, vectors []vector) error) error {
	return d.run(sql, params, func(res *duckdb.Result) error {
		vectors := make([]vector, len(types))
		for {
			chunk := duckdb.FetchChunk(*res)
			if chunk.Ptr == nil {
				return resultError(res)
			}
			rows := int(duckdb.DataChunkGetSize(chunk))
			if rows == 0 {
				duckdb.DestroyDataChunk(&chunk)
				return resultError(res)
			}
			for i := range vectors {
				vectors[i] = newVector(chunk, i, types[i])
			}
			err := emit(rows, vectors)
			duckdb.DestroyDataChunk(&chunk)
			if err != nil {
				return err
			}
		}
	})
}

// types runs sql far enough to learn its columns. Unlike describe it knows the
// types of columns that depend on parameters.
func (d *duck) types(sql string, params []Param) ([]column, error) {
	var out []column
	err := d.run(sql, params, func(res *duckdb.Result) error {
		out = make([]column, duckdb.ColumnCount(res))
		for i := range out {
			t := duckdb.ColumnLogicalType(res, duckdb.IdxT(i))
			out[i] = column{name: duckdb.ColumnName(res, duckdb.IdxT(i)), duck: typeOf(t)}
			duckdb.DestroyLogicalType(&t)
		}
		return nil
	})
	return out, err
}

func (d *duck) run(sql string, params []Param, use func(*duckdb.Result) error) error {
	var stmt duckdb.PreparedStatement
	state := duckdb.Prepare(d.conn, sql, &stmt)
	defer duckdb.DestroyPrepare(&stmt)
	if state != duckdb.StateSuccess {
		return duckError(duckdb.PrepareError(stmt))
	}
	for i, p := range params {
		v, err := bindValue(p)
		if err != nil {
			return err
		}
		state := duckdb.BindValue(stmt, duckdb.IdxT(i+1), v)
		duckdb.DestroyValue(&v)
		if state != duckdb.StateSuccess {
			return slipway.Errorf(slipway.Invalid, "parameter %d: %s", i+1, duckError(duckdb.PrepareError(stmt)))
		}
	}
	var pending duckdb.PendingResult
	state = duckdb.PendingPreparedStreaming(stmt, &pending)
	defer duckdb.DestroyPending(&pending)
	if state != duckdb.StateSuccess {
		return duckError(duckdb.PendingError(pending))
	}
	var res duckdb.Result
	state = duckdb.ExecutePending(pending, &res)
	defer duckdb.DestroyResult(&res)
	if state != duckdb.StateSuccess {
		return resultError(&res)
	}
	return use(&res)
}

// progress is how much of the running query is done, in percent, or -1.
func (d *duck) progress() float64 {
	p := duckdb.QueryProgress(d.conn)
	percent, _, _ := duckdb.QueryProgressTypeMembers(&p)
	return percent
}

// watchProgress calls tell about ten times a second until ctx is done.
func (d *duck) watchProgress(ctx context.Context, tell func(percent float64)) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tell(d.progress())
		}
	}
}

func resultError(res *duckdb.Result) error {
	if message := duckdb.ResultError(res); message != "" {
		return duckError(message)
	}
	return nil
}

// newVector looks at column i of a chunk without copying it.
func newVector(chunk duckdb.DataChunk, i int, t slipway.Type) vector {
	v := duckdb.DataChunkGetVector(chunk, duckdb.IdxT(i))
	rows := int(duckdb.DataChunkGetSize(chunk))
	out := vector{}
	if mask := duckdb.VectorGetValidity(v); mask != nil {
		out.valid = unsafe.Slice((*uint64)(mask), (rows+63)/64)
	}
	data := duckdb.VectorGetData(v)
	switch t {
	case slipway.Bool:
		out.bools = unsafe.Slice((*uint8)(data), rows)
	case slipway.Date:
		out.days = unsafe.Slice((*int32)(data), rows)
	case slipway.Float:
		out.floats = unsafe.Slice((*float64)(data), rows)
	case slipway.Int, slipway.Time:
		out.ints = unsafe.Slice((*int64)(data), rows)
	case slipway.Text, slipway.Binary:
		out.text = func(row int) []byte { return duckText(unsafe.Add(data, row*16)) }
	}
	return out
}

// duckText reads a duckdb_string_t: 4 bytes of length, then either up to 12
// bytes of text, or a 4-byte prefix and a pointer.
func duckText(p unsafe.Pointer) []byte {
	n := *(*uint32)(p)
	if n <= 12 {
		return unsafe.Slice((*byte)(unsafe.Add(p, 4)), n)
	}
	return unsafe.Slice(*(**byte)(unsafe.Add(p, 8)), n)
}

// typeOf writes a logical type in the words of DuckDB's SQL, as far as the
// choice of a slipway.Type needs it.
func typeOf(t duckdb.LogicalType) duckType {
	switch duckdb.GetTypeId(t) {
	case duckdb.TypeBoolean:
		return duckType{name: "BOOLEAN"}
	case duckdb.TypeTinyInt, duckdb.TypeSmallInt, duckdb.TypeInteger, duckdb.TypeBigInt,
		duckdb.TypeUTinyInt, duckdb.TypeUSmallInt, duckdb.TypeUInteger:
		return duckType{name: "BIGINT"}
	case duckdb.TypeUBigInt, duckdb.TypeHugeInt, duckdb.TypeUHugeInt, duckdb.TypeFloat, duckdb.TypeDouble,
		duckdb.TypeDecimal, duckdb.TypeBigNum:
		return duckType{name: "DOUBLE"}
	case duckdb.TypeTimestamp, duckdb.TypeTimestampS, duckdb.TypeTimestampMS, duckdb.TypeTimestampNS:
		return duckType{name: "TIMESTAMP"}
	case duckdb.TypeTimestampTZ:
		return duckType{name: "TIMESTAMPTZ"}
	case duckdb.TypeDate:
		return duckType{name: "DATE"}
	case duckdb.TypeBlob:
		return duckType{name: "BLOB"}
	case duckdb.TypeVarchar:
		if strings.EqualFold(duckdb.LogicalTypeGetAlias(t), "JSON") {
			return duckType{name: "JSON"}
		}
		return duckType{name: "VARCHAR"}
	case duckdb.TypeEnum:
		out := duckType{name: "ENUM"}
		for i := range duckdb.EnumDictionarySize(t) {
			out.categories = append(out.categories, duckdb.EnumDictionaryValue(t, duckdb.IdxT(i)))
		}
		return out
	case duckdb.TypeList, duckdb.TypeStruct, duckdb.TypeMap, duckdb.TypeArray, duckdb.TypeUnion, duckdb.TypeVariant:
		return duckType{name: "NESTED"}
	case duckdb.TypeInvalid, duckdb.TypeAny, duckdb.TypeSQLNull:
		return duckType{name: "UNKNOWN"}
	}
	return duckType{name: "OTHER"}
}

// bindValue makes the DuckDB value of a parameter.
func bindValue(p Param) (duckdb.Value, error) {
	switch v := p.Value.(type) {
	case nil:
		return duckdb.CreateNullValue(), nil
	case bool:
		return duckdb.CreateBool(v), nil
	case int64:
		return duckdb.CreateInt64(v), nil
	case float64:
		return duckdb.CreateDouble(v), nil
	case string:
		return duckdb.CreateVarcharLength(v, duckdb.IdxT(len(v))), nil
	case []byte:
		return duckdb.CreateBlob(v), nil
	case time.Time:
		return duckdb.CreateTimestampTZ(duckdb.NewTimestamp(v.UnixMicro())), nil
	case []string:
		return bindList(duckdb.TypeVarchar, v)
	case []int64:
		return bindList(duckdb.TypeBigInt, v)
	case []float64:
		return bindList(duckdb.TypeDouble, v)
	}
	return duckdb.Value{}, slipway.Errorf(slipway.Invalid, "a parameter of type %T cannot be passed to SQL", p.Value)
}

func bindList[T any](t duckdb.Type, list []T) (duckdb.Value, error) {
	values := make([]duckdb.Value, len(list))
	defer func() {
		for i := range values {
			duckdb.DestroyValue(&values[i])
		}
	}()
	for i, one := range list {
		v, err := bindValue(Param{any(one)})
		if err != nil {
			return v, err
		}
		values[i] = v
	}
	logical := duckdb.CreateLogicalType(t)
	defer duckdb.DestroyLogicalType(&logical)
	return duckdb.CreateListValue(logical, values), nil
}

// strings runs a query of text columns and returns its rows.
func (d *duck) strings(sql string, columns int) ([][]string, error) {
	types := slices.Repeat([]slipway.Type{slipway.Text}, columns)
	var out [][]string
	err := d.stream(sql, nil, types, func(rows int, vectors []vector) error {
		for i := range rows {
			row := make([]string, columns)
			for c := range vectors {
				row[c] = string(vectors[c].text(i))
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

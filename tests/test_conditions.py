from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from morphoscope.errors import InputError
from morphoscope.io.conditions import matched, read_conditions


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "conditions.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file,time,ratio,who\na.tif,0,0.25,Eva\nb.tif,30,1.5,Bo\n", "utf-8"),
        ("\ufefffile,time,ratio,who\r\na.tif,0,0.25,Eva\r\nb.tif,30,1.5,Bo\r\n", "utf-8"),
        ("file;time;ratio;who\na.tif;0;0,25;Eva\nb.tif;30;1,5;Bo\n;;;\n", "latin-1"),
        ("Filename\ttime\tratio\twho\na.tif\t0\t0,25\tEva\nb.tif\t30\t1,5\tBo\n", "utf-16"),
        ("file, time, ratio, who,\n\na.tif, 0, 0.25, Eva,\nb.tif, 30, 1.5, Bo,\n", "utf-8"),
    ],
)
def test_csv_tsv_and_what_excel_exports(tmp_path, text, encoding):
    got = read_conditions(write(tmp_path, text, encoding))
    assert got.names == ["time", "ratio", "who"] and got.table["file"].tolist() == ["a.tif", "b.tif"]
    assert got.table["time"].tolist() == [0, 30] and got.table["ratio"].tolist() == [0.25, 1.5]
    assert got.table["who"].tolist() == ["Eva", "Bo"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,time\na.tif,0\n", "wanted a column `file`.*1 lines of picture, time"),
        ("file\na.tif\n", "at least one condition"),
        ("", "cannot read"),
        ("file,time\n", "0 lines"),
        ("file,time\n,3\n", "line 2 names no file"),
        ("file,S_crack\na.tif,3\n", "S_crack of their own; give these conditions other names"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        read_conditions(write(tmp_path, text), taken=("S_crack",))


def test_a_workbook_and_a_missing_file(tmp_path):
    path = tmp_path / "book.xlsx"
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(InputError, match="save it from Excel as CSV"):
        read_conditions(path)
    with pytest.raises(InputError, match="No such file"):
        read_conditions(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "name", ["x/001.tif", "001.tif", "image/x/001.tif", ".\\x\\001.TIF", "001", "/data/x/001.png", "./x/001.tif"]
)
def test_ways_to_name_a_file(name):
    table = pd.DataFrame({"file": [name], "time": [1]})
    got, said = matched(read_conditions(table), ["x/001.tif", "x/002.tif"])
    assert got.table["file"].tolist() == ["x/001.tif"] and said == [
        "1 of 2 files have no line in the table of conditions: x/002.tif."
    ]


def test_a_point_in_a_name_is_no_suffix():
    got, said = matched(read_conditions(pd.DataFrame({"file": ["at 1.5", "at 1.6"], "t": [1, 2]})), ["at 1.5.tif", "at 1.6.tif"])
    assert got.table["file"].tolist() == ["at 1.5.tif", "at 1.6.tif"] and not said


def test_lines_that_fit_none_several_or_the_same():
    files = ["a/1.tif", "b/1.tif", "2.tif"]
    frame = pd.DataFrame({"file": ["a/1.tif", "9.tif"], "t": [0, 1]})
    got, said = matched(read_conditions(frame), files)
    assert got.table["t"].tolist() == [0] and said[1] == "1 lines of the table of conditions name no file of the input: 9.tif."
    for names, wanted in (
        (["7.tif", "8.tif"], "no line of the table of conditions .7.tif, 8.tif. names a file of the input .a/1.tif"),
        (["1.tif"], "1.tif fits several files .a/1.tif, b/1.tif."),
        (["2.tif", "2"], "two lines for 2.tif"),
    ):
        with pytest.raises(InputError, match=wanted):
            matched(read_conditions(pd.DataFrame({"file": names, "t": range(len(names))})), files)


def test_frames_of_a_stack_have_lines_of_their_own():
    table = pd.DataFrame({"file": ["s.tif", "s.tif"], "frame": [0, 1], "anneal": [5, 10]})
    got, _ = matched(read_conditions(table), ["s.tif"])
    assert got.names == ["anneal"] and got.table["frame"].tolist() == [0, 1]

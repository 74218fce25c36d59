"""A cluster that demands TLS: who has a certificate of its authority runs a study, all others get one line."""

import pytest
from cluster import certificates, dask_cluster

from runs import STUDY, assert_complete, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own(folder):
    """Settings of those who belong to the cluster."""
    return certificates(folder / "own")


@pytest.fixture(scope="module")
def encrypted(folder, own):
    with dask_cluster(folder, own) as cluster:
        cluster.worker()
        yield cluster


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY % "1")
    return path


def test_a_study_runs_over_tls(encrypted, own, study, tmp_path):
    assert encrypted.address.startswith("tls://")
    code, _, err = run("slow", study, tmp_path / "out", *encrypted.flags, **own)
    assert code == 0, err
    assert_complete(tmp_path / "out", 3)


def test_certificates_of_another_authority_are_refused(encrypted, study, tmp_path):
    strange = certificates(tmp_path / "strange")
    error = mistake(run("slow", study, tmp_path / "out", *encrypted.flags, **strange))
    assert f"no Dask scheduler answers at {encrypted.address}" in error
    assert "by its authority?" in error


def test_the_settings_that_lack_are_named(encrypted, own, study, tmp_path):
    some = {name: path for name, path in own.items() if name.endswith("CA_FILE")}
    for settings in ({}, some):
        error = mistake(run("slow", study, tmp_path / "out", *encrypted.flags, **settings))
        assert f"{encrypted.address} needs certificates: set distributed.comm.tls.ca-file" in error


def test_certificates_that_are_not_there_are_a_mistake(encrypted, own, study, tmp_path):
    missing = own | {"DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": str(tmp_path / "missing.pem")}
    error = mistake(run("slow", study, tmp_path / "out", *encrypted.flags, **missing))
    assert "cannot read the certificates of Dask's settings distributed.comm.tls: FileNotFoundError" in error


def test_without_encryption_nobody_comes_in(encrypted, own, study, tmp_path):
    plain = encrypted.address.replace("tls://", "tcp://")
    assert f"at {plain}" in mistake(run("slow", study, tmp_path / "out", "--scheduler", plain))
    error = mistake(run("slow", study, tmp_path / "out", "--scheduler", plain, **own))
    assert f"Dask's settings demand encryption, and {plain} has none" in error


def mistake(ended):
    """The line that a command ended with."""
    code, out, err = ended
    assert code == 2, out + err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err
